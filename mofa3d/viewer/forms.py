"""The form in which the page sends a photograph."""

from __future__ import annotations

import logging

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile

MALFORMED = "Send one photograph in a form (multipart/form-data)."


async def sent_file(request: Request) -> tuple[bytes, str]:
    """The content and the name of the file that a form brings.

    Raises:
        HTTPException: 400, it is no such form or holds anything but one file; 507, there is no room for the file.
    """
    try:
        async with request.form(max_files=1, max_fields=0) as form:
            [(_, file)] = form.multi_items()
            if isinstance(file, UploadFile):
                return await file.read(), file.filename or ""
    except (ValueError, LookupError, TypeError):  # of the parsers, and of names in odd encodings
        pass
    except OSError as error:
        logging.getLogger(__name__).warning("an upload found no room in the folder for temporary files: %s", error)
        raise HTTPException(507, "The server has no disk space left for it; try again later.") from None
    raise HTTPException(400, MALFORMED)
