"""The nightly check."""

from __future__ import annotations

import errno
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from bakeoff.cli.common import JsonOption, StoreOption, print_json
from bakeoff.cli.measuring import INTERRUPTED
from bakeoff.decide.drift.answers import NOT_DONE
from bakeoff.errors import UserError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
_STOPPED = "the sessions measured so far are in the store"

app = typer.Typer()


@app.command(epilog="Example: bakeoff check --budget 30m --write junit=check.xml --write summary=check.md")
def check(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SCENARIO]...",
            help="Names of pinned scenarios (default: all); files or folders of them beside pytest-benchmark's JSON.",
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
    from bakeoff import api
    from bakeoff.show import console
    from bakeoff.show.nightly import lists, pages, writing

    wanted = [_form(each) for each in write or ()]
    if as_json and any(path == writing.STANDARD_OUTPUT for _, path in wanted):
        raise UserError("--json and --write FORM=-: one of the two; both print on standard output")
    with _exits(), console.Progress() as reporter:
        night = api.check(
            *(scenarios or ()),
            baseline=baseline,
            candidates=candidate or (),
            budget=budget,
            bisect=bisect,
            store=store,
            reporter=reporter,
        )
    if as_json:
        print_json(lists.to_json(night))
    elif all(path != writing.STANDARD_OUTPUT for _, path in wanted):
        pages.render(night)
    for form, path in wanted:
        writing.write(form, night, path, api.nights(store) if form == writing.OTAVA else ())
        if path != writing.STANDARD_OUTPUT:
            typer.echo(f"wrote {path}", err=True)
    raise typer.Exit(night.exit_code)


def _form(text: str) -> tuple[str, Path]:
    from bakeoff.show.nightly import writing

    form, given, path = text.partition("=")
    if not given or not path:
        raise UserError(f"--write {text}: must name the form and the file, as in junit=check.xml")
    writing.check(form)
    return form, Path(path)


class _Terminated(KeyboardInterrupt):
    """SIGTERM: nothing on the way may take it for an error of its own."""


@contextmanager
def _exits() -> Iterator[None]:
    """What ends the check early has an exit code of its own: 1 says "regression", and nothing else may say it.

    SIGTERM and Ctrl-C end it in order: engines closed, the night marked as stopped.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _Terminated:
        raise UserError(f"stopped by SIGTERM; {_STOPPED}") from None
    except KeyboardInterrupt:
        typer.echo(f"bakeoff: stopped; {_STOPPED}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        if error.errno not in _FULL:
            raise _bug() from error
        raise UserError(f"{error.filename or 'a file'}: cannot be written: {error.strerror}; {_STOPPED}") from None
    except (UserError, typer.Exit):
        raise
    except Exception as error:
        raise _bug() from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _bug() -> typer.Exit:
    """Show the traceback of the error in hand."""
    traceback.print_exc()
    return typer.Exit(NOT_DONE)
