#!/usr/bin/env python3
"""The lint that finds what depends on the order of evaluation finds it, and nothing else."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import evaluation_order  # noqa: E402
import junit  # noqa: E402

ARGUMENTS = "two draws among the arguments of one call"
OPERANDS = "two draws in the operands of one operator"


def in_function(statements):
    return "void F() {\n" + statements + "\n}\n"


class EvaluationOrder(unittest.TestCase):
    def found(self, statements):
        return [what for _, what in evaluation_order.problems(in_function(statements))]

    def test_two_draws_among_arguments(self):
        for call in ("Put(prng_.Below(3), prng_.Next());",
                     "Put(draw.Between(1, 2), Key(\"a\", draw.Next()));",
                     "const std::string s(prng_.Below(20), Letter(prng->Below(3)));",
                     "return Act(prng(c).Next(), prng(c).Chance(1, 2));",
                     "Act(&prng_, prng_.Next());",
                     "out->emplace_back(Pick(&draw), Pick(&draw));",
                     "Put(prngs_[i].Next(), prngs_[At(c)].Below(3));",
                     "Do([&] { Put(prng_.Next(), prng_.Next()); });"):
            self.assertEqual(self.found(call), [ARGUMENTS], call)

    def test_two_draws_in_operands(self):
        for expression in ("x = draw.Below(3) + draw.Below(4);",
                           "x = 1 + draw.Below(3) * (2 + draw.Below(4));",
                           "if (prng_.Next() < prng_.Next()) return;",
                           "x = ok ? 1 : prng_.Next() % prng_.Next();",
                           "Put(prng_.Next() ^ prng_.Next());",
                           "x = prngs_[i].Next() + prngs_[j].Next();",
                           "Do([&] { x = draw.Next() - draw.Next(); });"):
            self.assertEqual(self.found(expression), [OPERANDS], expression)

    def test_a_function_of_the_file_that_draws(self):
        code = """
Duration Nemesis::Lasts() { return kLeast + prng_.Exponential(kMean); }
void Nemesis::Act() { caretaker_->Begin(prng_.Next(), Lasts()); }
"""
        self.assertEqual(evaluation_order.problems(code), [(3, ARGUMENTS)])
        through = code.replace("Lasts());", "Longer());").replace(
            "void", "Duration Nemesis::Longer() { return Lasts() * 2; }\nvoid")
        self.assertEqual(evaluation_order.problems(through), [(4, ARGUMENTS)])
        self.assertEqual(evaluation_order.problems(code.replace("Lasts());", "other.Lasts());")), [])

    def test_a_move_beside_a_use(self):
        for call, name in (("Send(body.size(), std::move(body));", "body"),
                           ("Send(std::move(body), body.size());", "body"),
                           ("Send(reply.size(), [reply = std::move(reply)] { Use(reply); });", "reply"),
                           ("done(body.status(), ok ? *std::move(body) : Bytes());", "body"),
                           ("Add(item.key, Entry(std::move(item.key)));", "item.key"),
                           ("Send(std::move(items_[i]), items_[i].size());", "items_[i]"),
                           ("Send(this->body_.size(), std::move(body_));", "body_"),
                           ("Send(std::move(this->body_), body_.size());", "body_"),
                           ("Send(body.size(), std::exchange(body, Bytes()));", "body"),
                           ("Send(std::exchange(next_->id, 0), next_->id);", "next_->id"),
                           ("Send(page->size(), page.release());", "page"),
                           ("Send(Copy(message), std::move(message.entries));", "message.entries"),
                           ("Send(items_, std::move(items_[i].body));", "items_[i].body"),
                           ("Do([&] { Send(body.size(), std::move(body)); });", "body")):
            self.assertEqual(self.found(call),
                             [f"'{name}' is moved in one argument and used in another"], call)

    def test_where_the_order_is_given(self):
        for statements in ("const uint64_t a = prng_.Next();\nPut(a, prng_.Next());",
                           "if (draw.Chance(1, 2) && draw.Chance(1, 3)) return;",
                           "x = draw.Chance(1, 2) ? draw.Next() : draw.Below(3);",
                           "out << draw.Next() << draw.Next();",
                           "const Pair p{draw.Next(), draw.Next()};",
                           "x[draw.Below(3)] = draw.Next();",
                           "for (i = draw.Next(); draw.Chance(1, 2); ) Put(draw.Next());",
                           "Put(prng_.Next(), [&] { return prng_.Next(); });",
                           "body.Append(std::move(body_of_another));",
                           "body->Send(std::move(body));",
                           "Send(other.body, std::move(body));",
                           "Send(std::move(body), [body = Copy()] { Use(body); });",
                           "Send(std::move(a), std::move(b));",
                           "Send(message.to, std::move(message.entries));",
                           "Send(message->to, std::exchange(message->entries, {}));",
                           "Send(items_[j], std::move(items_[i]));",
                           "Send(pages.size(), page.release());",
                           "Send(&message, std::move(message.entries));"):
            self.assertEqual(self.found(statements), [], statements)

    def test_draws_that_are_keyed_have_no_order(self):
        self.assertEqual(self.found('Put(draw.Between("low", 1, 2), draw.Between("high", 2, 3));'), [])

    def test_comments_and_strings_are_no_code(self):
        self.assertEqual(self.found('// Put(prng_.Next(), prng_.Next());\n'
                                    'Say("Put(prng_.Next(), prng_.Next())");'), [])

    def test_functions_beside_each_other(self):
        code = """
class A {
 public:
  explicit A(uint64_t seed) : prng_(seed) {}
  bool operator<(const A& other) const { return prng_.Next() > 0; }
  T& Pick() { return all_[prng_.Below(3)]; }
  const T* Find(int a, int b) { return prng_.Chance(1, 2) ? nullptr : &all_[0]; }
};
"""
        self.assertEqual(evaluation_order.problems(code), [])

    def test_the_line_is_told(self):
        self.assertEqual(evaluation_order.problems("\n" + in_function(
            "// a\nint x =\n    prng_.Next() +\n    prng_.Next();"))[0][0], 5)


if __name__ == "__main__":
    junit.main(sys.modules[__name__])
