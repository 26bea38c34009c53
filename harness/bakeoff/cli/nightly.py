"""The nightly check."""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, StoreOption, print_json
from bakeoff.cli.measuring import INTERRUPTED
from bakeoff.decide.drift.answers import EXITS, NOT_DONE
from bakeoff.errors import UserError

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES})
_STOPPED = "the sessions measured so far are in the store"

app = typer.Typer()


@app.command(epilog="Example: bakeoff check --budget 30m --write junit=check.xml --write summary=check.md")
def check(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCENARIO]...",
            help="Pinned scenarios: names, files or folders (default: all). Beside pytest-benchmark's JSON no names.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="The folder of the pins, or pytest-benchmark's JSON. Default: results/baseline.")
    ] = None,
    candidate: Annotated[list[str] | None, typer.Option(help="Only this candidate (its id). Repeatable.")] = None,
    budget: Annotated[str | None, typer.Option(help="Bounds the whole check, as in 30m.")] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Name the package that a regression came with, if the budget allows.")
    ] = False,
    write: Annotated[
        list[str] | None,
        typer.Option(metavar="FORM=FILE", help="Write it as junit, summary, json, smaller-is-better or otava, too."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare what is here now with the pinned baseline, side by side; exit 1 on a confirmed regression.

    0: no regression; 2: the check could not be done; 3: too noisy to tell.
    """
    with _exits() as known:
        from bakeoff import api
        from bakeoff.show import console
        from bakeoff.show.nightly import lists, pages, writing

        wanted = [_form(each) for each in write or ()]
        if as_json and any(path == writing.STANDARD_OUTPUT for _, path in wanted):
            raise UserError("--json and --write FORM=-: one of the two; both print on standard output")
        with console.Progress() as reporter:
            night = api.check(
                *(scenarios or ()),
                baseline=baseline,
                candidates=candidate or (),
                budget=budget,
                bisect=bisect,
                store=store,
                reporter=reporter,
            )
        known.code = night.exit_code
        if as_json:
            print_json(lists.to_json(night))
        elif all(path != writing.STANDARD_OUTPUT for _, path in wanted):
            pages.render(night)
        refused: list[UserError] = []
        for form, path in wanted:
            try:
                writing.write(form, night, path, api.nights(store) if form == writing.OTAVA else ())
            except UserError as error:
                refused.append(error)
                continue
            if path != writing.STANDARD_OUTPUT:
                typer.echo(f"wrote {path}", err=True)
        sys.stdout.flush()
        if refused:
            raise UserError("; ".join(map(str, refused)))
    raise typer.Exit(known.code)


def _form(text: str) -> tuple[str, Path]:
    from bakeoff.show.nightly import writing

    form, given, path = text.partition("=")
    if not given or not path:
        raise UserError(f"--write {text}: must name the form and the file, as in junit=check.xml")
    writing.check(form)
    return form, Path(path)


class _Terminated(KeyboardInterrupt):
    """SIGTERM: nothing on the way may take it for an error of its own."""


@dataclass(slots=True)
class _Known:
    """The night's exit code, as far as it is known: that of a check that could not be done until it is."""

    code: int = NOT_DONE

    def ended(self, said: str = "") -> typer.Exit:
        """The end of a check that something went wrong with, told in a line: a confirmed regression stays one."""
        if said:
            _say(f"bakeoff: {said}")
        return typer.Exit(self.code if self.code == EXITS["regression"] else NOT_DONE)


@contextmanager
def _exits() -> Iterator[_Known]:
    """Whatever ends the check has an exit code of its own: 1 says "regression", and nothing else may say it.

    SIGTERM and Ctrl-C end it in order: engines closed, the night marked as stopped.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Terminated

    before, known = signal.signal(signal.SIGTERM, end), _Known()
    try:
        yield known
    except _Terminated:
        raise known.ended(f"stopped by SIGTERM; {_STOPPED}") from None
    except KeyboardInterrupt:
        _say(f"bakeoff: stopped; {_STOPPED}")
        raise typer.Exit(INTERRUPTED) from None
    except (BrokenPipeError, SystemExit):  # rich makes the latter of the former, with 1
        raise known.ended(f"what reads the output ended before it did; {_STOPPED}") from None
    except UserError as error:
        raise known.ended(str(error)) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            where = error.filename or "the output or a file"
            what = "made or opened" if error.errno == errno.EACCES else "written"
            raise known.ended(f"{where}: cannot be {what}: {error.strerror}; {_STOPPED}") from None
        _say(traceback.format_exc().rstrip())
        raise known.ended() from error
    finally:
        signal.signal(signal.SIGTERM, before)
        _let_go()


def _say(text: str) -> None:
    """On standard error, where that can be written."""
    with suppress(OSError):
        typer.echo(text, err=True)


def _let_go() -> None:
    """What an output did not take, Python would try to write at its end, and exit with 120 where that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
