"""Expressions whose value depends on the order in which a compiler evaluates their parts.

C++ leaves that order open for the arguments of one call and for the operands of most operators
([expr.call], [intro.execution]); g++ and clang differ in it. Found here, and told as
(line, what):

  - two draws of generators: the same seed then draws different things in different builds;
  - a move of a variable in one argument and a use of it, or of what it is a part of, in another
    one. std::exchange and release() move, too.

A draw is a call of a method of base/prng.h, a generator handed on by its address, or a call of a
function of the same file that draws. What is sequenced is no matter: `&&`, `||`, `?:`, `,` outside of
calls, shifts, assignments, lists in braces, and bodies of lambdas, which run later. Draws that are
keyed by a name (their first argument is a string) have no order.

This reads text, not C++: it knows generators by their names (prng, draw).
"""
import re

OPENING = "([{"
CLOSING = ")]}"
NOT_CALLS = {"if", "for", "while", "switch", "return", "catch", "sizeof", "decltype", "alignof",
             "noexcept"}

GENERATOR = r"\b\w*(?:prng|draw)\w*"
# Of several: prngs_[At(c)], prng(c).
SUBSCRIPT = r"(?:\[(?:[^\[\]()]|\([^()]*\))*\]|\((?:[^()]|\([^()]*\))*\))?"
DRAW = re.compile(GENERATOR + SUBSCRIPT + r"\s*(?:\.|->)\s*"
                  r"(?:Next\(|Chance\(|Exponential\(|(?:Below|Between)\((?!\s*(?:\"|absl::StrCat)))")
HANDED_ON = re.compile(r"(?<![&\w)])&\s*" + GENERATOR + r"\b(?!\s*[(.\w])")
FUNCTION = re.compile(r"\b(\w+)\s*\((?:[^()]|\([^()]*\))*\)(?:\s*(?:const|override|final|noexcept))*"
                      r"\s*\{")
PLACE = r"([A-Za-z_]\w*(?:(?:\.|->)[A-Za-z_]\w*|\[[^\[\]]*\])*)"
MOVES = (re.compile(r"\bstd::move\(\s*\*?(?:this->)?" + PLACE + r"\s*\)"),
         re.compile(r"\bstd::exchange\(\s*\*?(?:this->)?" + PLACE + r"\s*,"),
         re.compile(r"(?<![\w.>\])])(?:this->)?" + PLACE + r"\s*\.\s*release\(\s*\)"))
PART = re.compile(r"(?:\.|->)[A-Za-z_]\w*$|\[[^\[\]]*\]$")
SEQUENCED = re.compile(r"&&|\|\||<<=?|>>=?|\?|(?<!:):(?!:)|[-+*/%&|^]=|(?<![=!<>])=(?!=)|,|;|\breturn\b")
UNSEQUENCED = re.compile(r"<=>|[=!<>]=|[-+*/%&|^<>]")


def blank(text):
    """The code with comments and the insides of strings and characters as spaces."""
    token = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9A-Za-z_])\'(?:\\.|[^\'\\\n])+\'|'
                       r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.S | re.M)

    def spaces(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)

    return token.sub(spaces, text)


def pairs(code):
    """Where each bracket that opens is closed."""
    stack, out = [], {}
    for match in re.finditer(r"[()[\]{}]", code):
        if match.group(0) in OPENING:
            stack.append(match.start())
        elif stack:
            out[stack.pop()] = match.start()
    return out


def is_lambda_body(code, brace):
    before = code[max(0, brace - 1000):brace].rstrip()
    if not before.endswith(("]", ")", "mutable", "noexcept")) and "->" not in before[-60:]:
        return False
    before = re.sub(r"(?:\)\s*(?:mutable|noexcept|->\s*[\w:<>*& ]+?)+)$", ")", before)
    if before.endswith("]"):
        return True
    if not before.endswith(")"):
        return False
    depth = 0
    for at in range(len(before) - 1, -1, -1):
        depth += (before[at] == ")") - (before[at] == "(")
        if depth == 0:
            return before[:at].rstrip().endswith("]")
    return False


def without_lambdas(code, brackets):
    """The code with the bodies of lambdas as spaces: each is looked at by itself."""
    out = list(code)
    for brace, end in brackets.items():
        if code[brace] == "{" and is_lambda_body(code, brace):
            for at in range(brace + 1, end):
                if out[at] != "\n":
                    out[at] = " "
    return "".join(out)


def split_at_commas(code, start, end):
    parts, depth, begin = [], 0, start
    for at in range(start, end):
        depth += (code[at] in OPENING) - (code[at] in CLOSING)
        if depth == 0 and code[at] == ",":
            parts.append(code[begin:at])
            begin = at + 1
    return parts + [code[begin:end]]


def is_block(code, brace):
    """Whether this brace begins statements or declarations rather than a list."""
    return not re.search(r"(?:[\w>\](,{]|=\s*|\breturn\s+|,\s+)$", code[max(0, brace - 40):brace])


def flat(code, start, end, brackets):
    """The code at the depth of `start` only; what stands in brackets is blank, in its place. Around
    a block stand semicolons."""
    out = list(code[start:end])
    at = start
    while at < end:
        if code[at] in OPENING and at in brackets:
            close = min(brackets[at], end)
            out[at - start + 1:close - start] = " " * (close - at - 1)
            if code[at] == "{" and is_block(code, at):
                out[at - start] = ";"
                if close < end:
                    out[close - start] = ";"
            at = close
        at += 1
    return "".join(out).replace("->", "  ").replace("++", "  ").replace("--", "  ")


class Draws:
    """Whether a piece of code draws, by itself or through functions of its file."""

    def __init__(self, code, brackets):
        bodies = {}
        for match in FUNCTION.finditer(code):
            if match.group(1) not in NOT_CALLS:
                brace = match.end() - 1
                bodies.setdefault(match.group(1), []).append(code[brace:brackets.get(brace, brace)])
        self._helpers = re.compile(r"(?!)")
        names = set()
        while True:
            more = {name for name, all_of_it in bodies.items()
                    if any(self.in_piece(body) for body in all_of_it)}
            if more == names:
                return
            names = more
            self._helpers = re.compile(r"(?<![\w.>:])(?:this->)?(?:" + "|".join(sorted(names)) + r")\s*\(")

    def in_piece(self, piece):
        return bool(DRAW.search(piece) or HANDED_ON.search(piece) or self._helpers.search(piece))


def uses(place):
    """What uses this place, or all of what it is a part of."""
    unused = r"(?!\s*=[^=])(?!\s*\()"
    begin = r"(?:(?<![\w.>&])|(?<=\bthis->))"
    out = [begin + re.escape(place) + (r"\b" if place[-1] != "]" else "") + unused]
    while PART.search(place):
        place = PART.sub("", place)
        out.append(begin + re.escape(place) + r"(?![\w\[.(])(?!\s*(?:\.|->|\[))" + unused)
    return re.compile("|".join(out))


def moved_and_used(arguments):
    for k, argument in enumerate(arguments):
        for name in (name for moves in MOVES for name in moves.findall(argument)):
            use = uses(name)
            if any(use.search(other) for at, other in enumerate(arguments) if at != k):
                return name
    return None


def is_call(code, opening):
    before = re.search(r"(\w+|[\])>])\s*$", code[max(0, opening - 80):opening])
    return before is not None and before.group(1) not in NOT_CALLS


def operands(code, start, end, brackets):
    """The operands of each run of unsequenced operators, as pieces of code."""
    level = flat(code, start, end, brackets)
    at = 0
    for cut in [*(m.span() for m in SEQUENCED.finditer(level)), (len(level), len(level))]:
        begin, pieces = at, []
        for operator in UNSEQUENCED.finditer(level, at, cut[0]):
            pieces.append(code[start + begin:start + operator.start()])
            begin = operator.end()
        pieces.append(code[start + begin:start + cut[0]])
        yield start + at, pieces
        at = cut[1]


def scopes(code, brackets):
    """(code, where it begins): the whole without the bodies of lambdas, and each such body."""
    yield without_lambdas(code, brackets), 0
    for brace, end in brackets.items():
        if code[brace] == "{" and is_lambda_body(code, brace):
            body = code[brace:end + 1]
            yield without_lambdas(body, {a: b for a, b in pairs(body).items() if a > 0}), brace


def problems(text):
    code = blank(text)
    brackets = pairs(code)
    draws = Draws(code, brackets)
    ever_draws = draws.in_piece(code)
    found = set()

    def report(at, what):
        found.add((code.count("\n", 0, at) + 1, what))

    for scope, offset in scopes(code, brackets):
        inner = pairs(scope)
        for opening, closing in inner.items():
            if scope[opening] != "(" or not is_call(scope, opening):
                continue
            if not ever_draws and not any(m.search(scope[opening:closing]) for m in MOVES):
                continue
            arguments = split_at_commas(scope, opening + 1, closing)
            if ever_draws and sum(draws.in_piece(a) for a in arguments) > 1:
                report(offset + opening, "two draws among the arguments of one call")
            name = moved_and_used(arguments)
            if name is not None:
                report(offset + opening, f"'{name}' is moved in one argument and used in another")
        for opening, closing in [(-1, len(scope)), *inner.items()] if ever_draws else []:
            for at, pieces in operands(scope, opening + 1, closing, inner):
                if sum(draws.in_piece(p) for p in pieces) > 1:
                    report(offset + at + len(pieces[0]) - len(pieces[0].lstrip()),
                           "two draws in the operands of one operator")
    return sorted(found)
