import logging

from mofa3d.cli.streams import shown_logs

_LOG = logging.getLogger("mofa3d.files.somewhere")


def test_messages_of_the_library_reach_stderr_one_a_line(capsys):
    with shown_logs():
        _LOG.debug("details")
        _LOG.info("waiting for %s", "another process")
        _LOG.warning("left out")
        _LOG.error("gone")
    assert capsys.readouterr().err == "waiting for another process\nwarning: left out\nerror: gone\n"


def test_afterwards_the_logger_is_as_it_was(capsys):
    logger = logging.getLogger("mofa3d")
    before = logger.level, list(logger.handlers)
    with shown_logs():
        assert logger.isEnabledFor(logging.INFO)
    assert (logger.level, logger.handlers) == before
    _LOG.info("later")
    assert capsys.readouterr().err == ""
