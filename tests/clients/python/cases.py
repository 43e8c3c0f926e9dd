"""Reports cases as tests/clients/run reads them: "ok NAME", "not ok NAME: why", "skip ..."."""
import sys
import traceback


class Skip(Exception):
    """The server lacks what the case is about; the message says what."""


def run(cases):
    """Runs (name, function) pairs; does not return."""
    failed = False
    for name, function in cases:
        try:
            function()
            print(f"ok {name}", flush=True)
        except Skip as e:
            print(f"skip {name}: {e}", flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed = True
            traceback.print_exc()
            print(f"not ok {name}: {type(e).__name__}: {' '.join(str(e).split())}", flush=True)
    sys.exit(1 if failed else 0)


def expect(got, wanted):
    """Fails unless both are equal."""
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def expect_error(kind, function, *arguments):
    """Fails unless the call raises that kind of exception."""
    try:
        function(*arguments)
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")
