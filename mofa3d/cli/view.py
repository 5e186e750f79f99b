"""``mofa3d view``: a local web page that turns a photograph into a face to look at, change and download.

It imports what it needs when it runs, so that the command line answers at once.
"""

from __future__ import annotations

import importlib.util
import sys
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from mofa3d.cli.program import Flag
from mofa3d.encoders.weights import SHIPPED
from mofa3d.errors import InputError
from mofa3d.numeric_options import check_ranges


@dataclass(frozen=True)
class ViewCommand:
    """Serve a local web page that turns a photograph into a 3D face, with sliders and downloads."""

    checkpoint: Annotated[Path, arg(metavar="RUN")] = field(default=SHIPPED)
    """Folder of a training run, its checkpoint, or an encoder file; by default the encoder that ships with mofa3d."""
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 or :: lets every computer on the network in, without a password."""
    allow_host: tuple[str, ...] = ()
    """Further host names under which browsers reach the page, such as a reverse proxy's; all others are refused."""
    port: int = 8080
    """Port to listen on; 0 picks a free one."""
    open: Flag = False
    """Open the page in the browser."""
    max_megabytes: float = 20.0
    """Largest accepted file."""
    max_megapixels: float = 50.0
    """Largest accepted picture."""

    def __post_init__(self) -> None:
        check_ranges(self, port=(0, 65_535))

    def __call__(self) -> str:
        if importlib.util.find_spec("nicegui") is None:
            raise InputError("the page needs the package nicegui; run: pip install 'mofa3d[view]'")
        from mofa3d.api import open_tools
        from mofa3d.reconstruction.options import OutputOptions
        from mofa3d.viewer.downloads import Downloads
        from mofa3d.viewer.hosts import Hosts
        from mofa3d.viewer.server import address, listen, serve, warning
        from mofa3d.viewer.tools import Tools
        from mofa3d.viewer.uploads import Limits

        if min(self.max_megabytes, self.max_megapixels) <= 0:
            raise InputError("--max-megabytes and --max-megapixels must be larger than 0")
        hosts = Hosts.of(self.host, self.allow_host)
        listening = listen(self.host, self.port)  # before the seconds that loading takes
        limits = Limits(self.max_megabytes, self.max_megapixels)
        reconstructor, write = open_tools(self.checkpoint, output=OutputOptions(texture="none"))
        print(f"The page is at {address(listening)} (Ctrl+C stops it)", flush=True)
        if warned := warning(listening):
            print(warned, file=sys.stderr, flush=True)
        if self.open:
            webbrowser.open(address(listening))
        serve(Tools(reconstructor, write.render, Downloads(write), limits), listening, hosts)
        return "stopped"
