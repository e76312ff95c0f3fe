#include "text/template_syntax.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>

#include "text/python_text.hpp"
#include "text/template_tokens.hpp"

namespace shoal::text {
namespace {

using Kind = TemplateToken::Kind;
using Node = Expression::Kind;
using Type = Statement::Kind;

constexpr int max_nesting = 60;            // of statements, brackets and signs
constexpr int max_expression_depth = 200;  // of the tree, chains such as a + b + c included

/// The tokens of a template, read from left to right.
class TokenReader {
 public:
  explicit TokenReader(std::vector<TemplateToken> tokens) : tokens_(std::move(tokens)) {}

 protected:
  [[nodiscard]] const TemplateToken& now() const { return tokens_[at_]; }
  [[nodiscard]] const TemplateToken& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  [[nodiscard]] bool is_mark(std::string_view text) const { return now().kind == Kind::mark && now().text == text; }
  [[nodiscard]] bool is_word(std::string_view text) const { return now().kind == Kind::name && now().text == text; }
  [[nodiscard]] bool at_end_of_tag() const {
    return now().kind == Kind::close_output || now().kind == Kind::close_statement;
  }
  TemplateToken take() { return tokens_[at_ < tokens_.size() - 1 ? at_++ : at_]; }
  bool accept_mark(std::string_view text) { return accept(is_mark(text)); }
  bool accept_word(std::string_view text) { return accept(is_word(text)); }
  [[noreturn]] void fail(const std::string& problem) const { throw TemplateError(problem, now().line); }
  void expect_mark(std::string_view text) {
    if (!accept_mark(text)) fail("expected '" + std::string(text) + "'");
  }
  void expect_word(std::string_view text) {
    if (!accept_word(text)) fail("expected '" + std::string(text) + "'");
  }
  std::string expect_name() {
    if (now().kind != Kind::name) fail("expected a name");
    return take().text;
  }
  void close(Kind kind) {
    if (now().kind != kind) fail("unexpected '" + now().text + "' in a tag");
    take();
  }

  /// Guards recursion: one more level while it lives.
  class Level {
   public:
    explicit Level(TokenReader* reader) : reader_(reader) {
      if (++reader_->nesting_ > max_nesting) reader_->fail("too deeply nested");
    }
    ~Level() { --reader_->nesting_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    TokenReader* reader_;
  };

 private:
  bool accept(bool is) {
    if (is) take();
    return is;
  }

  std::vector<TemplateToken> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
};

/// Expressions, loosest binding first.
class ExpressionParser : public TokenReader {
 public:
  using TokenReader::TokenReader;

 protected:
  Expression expression() {
    const Level level(this);
    Expression value = disjunction();
    while (accept_word("if")) {
      std::vector<Expression> parts{std::move(value), disjunction()};
      if (accept_word("else")) parts.push_back(expression());
      value = node(Node::conditional, "", std::move(parts));
    }
    return value;
  }

  Expression disjunction() {
    Expression left = conjunction();
    while (accept_word("or")) left = node(Node::binary, "or", two(std::move(left), conjunction()));
    return left;
  }

  /// Expressions behind commas make a tuple.
  Expression tuple(bool with_conditional) {
    const auto part = [&] { return with_conditional ? expression() : disjunction(); };
    Expression first = part();
    if (!is_mark(",")) return first;
    std::vector<Expression> parts;
    parts.push_back(std::move(first));
    while (accept_mark(",") && !at_end_of_tag() && !is_mark(")")) parts.push_back(part());
    return node(Node::tuple, "", std::move(parts));
  }

  /// Filters behind @p value, if any.
  Expression filtered(Expression value) {
    while (accept_mark("|")) value = filter(std::move(value));
    return value;
  }

  Expression filter(Expression value) {
    Expression filter = node(Node::filter, expect_name(), one(std::move(value)));
    if (accept_mark("(")) arguments(&filter);
    return filter;
  }

  Expression node(Node kind, std::string text, std::vector<Expression> children) const {
    Expression made{kind, std::move(text), nullptr, std::move(children), {}, now().line, 0};
    measure(&made);
    return made;
  }

 private:
  void measure(Expression* made) const {
    for (const Expression& child : made->children) made->depth = std::max(made->depth, child.depth);
    if (++made->depth > max_expression_depth) fail("an expression is too long");
  }

  static std::vector<Expression> one(Expression value) {
    std::vector<Expression> all;
    all.push_back(std::move(value));
    return all;
  }
  static std::vector<Expression> two(Expression first, Expression second) {
    std::vector<Expression> all = one(std::move(first));
    all.push_back(std::move(second));
    return all;
  }
  Expression constant(TemplateValue value) const {
    return {Node::constant, {}, std::move(value), {}, {}, now().line, 1};
  }

  Expression conjunction() {
    Expression left = negation();
    while (accept_word("and")) left = node(Node::binary, "and", two(std::move(left), negation()));
    return left;
  }

  Expression negation() {
    if (!accept_word("not")) return comparison();
    const Level level(this);
    return node(Node::unary, "not", one(negation()));
  }

  /// The comparison sign that comes now, taken; empty if there is none.
  std::string comparison_sign() {
    constexpr std::array<std::string_view, 6> signs{"==", "!=", "<", ">", "<=", ">="};
    if (now().kind == Kind::mark && std::find(signs.begin(), signs.end(), now().text) != signs.end())
      return take().text;
    if (accept_word("in")) return "in";
    if (!is_word("not") || next().kind != Kind::name || next().text != "in") return {};
    take();
    take();
    return "not in";
  }

  Expression comparison() {
    Expression first = sum();
    std::string sign = comparison_sign();
    if (sign.empty()) return first;
    Expression chain{Node::comparison, {}, nullptr, one(std::move(first)), {}, now().line, 0};
    for (; !sign.empty(); sign = comparison_sign()) {
      chain.words.push_back(sign);
      chain.children.push_back(sum());
    }
    measure(&chain);
    return chain;
  }

  /// Operands joined by @p signs, from left to right.
  template <class Operand>
  Expression chain(std::initializer_list<std::string_view> signs, const Operand& operand) {
    Expression left = operand();
    while (now().kind == Kind::mark && std::find(signs.begin(), signs.end(), now().text) != signs.end()) {
      const std::string sign = take().text;
      left = node(Node::binary, sign, two(std::move(left), operand()));
    }
    return left;
  }

  Expression sum() {
    return chain({"+", "-"}, [&] { return concatenation(); });
  }
  Expression concatenation() {
    return chain({"~"}, [&] { return product(); });
  }
  Expression product() {
    return chain({"*", "/", "//", "%"}, [&] { return power(); });
  }
  Expression power() {
    return chain({"**"}, [&] { return filters_and_tests(signed_value()); });
  }

  /// As in Jinja, filters apply to the value with its sign.
  Expression signed_value() {
    if (!is_mark("-") && !is_mark("+")) return postfix(primary());
    const Level level(this);
    const std::string sign = take().text;
    return postfix(node(Node::unary, sign, one(signed_value())));
  }

  Expression primary() {
    const TemplateToken token = take();
    switch (token.kind) {
      case Kind::string: {
        std::string text = token.text;
        while (now().kind == Kind::string) text += take().text;
        return constant(text);
      }
      case Kind::integer:
        return constant(integer(token.text));
      case Kind::number:
        return constant(python::parse_float(token.text).value_or(0.0));
      case Kind::name:
        return named(token.text);
      case Kind::mark:
        if (token.text == "(") return parenthesised();
        if (token.text == "[") return list();
        if (token.text == "{") return dict();
        [[fallthrough]];
      default:
        fail("unexpected '" + token.text + "'");
    }
  }

  [[nodiscard]] std::int64_t integer(const std::string& digits) const {
    const auto value = python::parse_integer(digits);
    if (!value) fail("the number " + digits + " is too large");
    return *value;
  }

  Expression named(const std::string& name) const {
    if (name == "true" || name == "True") return constant(true);
    if (name == "false" || name == "False") return constant(false);
    if (name == "none" || name == "None") return constant(nullptr);
    for (const char* unsupported : {"varargs", "kwargs", "caller", "self", "super"})
      if (name == unsupported) fail("'" + name + "' is not supported");
    return node(Node::name, name, {});
  }

  Expression parenthesised() {
    if (accept_mark(")")) return node(Node::tuple, "", {});
    const Level level(this);
    Expression inner = tuple(true);
    expect_mark(")");
    return inner;
  }

  Expression list() {
    std::vector<Expression> items;
    while (!accept_mark("]")) {
      items.push_back(expression());
      if (!is_mark("]")) expect_mark(",");
    }
    return node(Node::list, "", std::move(items));
  }

  Expression dict() {
    std::vector<Expression> items;
    while (!accept_mark("}")) {
      items.push_back(expression());
      expect_mark(":");
      items.push_back(expression());
      if (!is_mark("}")) expect_mark(",");
    }
    return node(Node::dict, "", std::move(items));
  }

  Expression postfix(Expression value) {
    for (;;) {
      if (accept_mark("."))
        value = member(std::move(value));
      else if (accept_mark("["))
        value = subscript(std::move(value));
      else if (accept_mark("("))
        value = call(std::move(value));
      else
        return value;
    }
  }

  Expression member(Expression value) {
    if (now().kind == Kind::integer) return node(Node::item, "", two(std::move(value), constant(integer(take().text))));
    return node(Node::attribute, expect_name(), one(std::move(value)));
  }

  Expression call(Expression callee) {
    Expression call = node(Node::call, "", one(std::move(callee)));
    arguments(&call);
    return call;
  }

  Expression subscript(Expression value) {
    std::vector<Expression> parts = one(std::move(value));
    bool sliced = false;
    if (is_mark("]")) fail("an empty subscript");
    do {
      const bool absent = is_mark(":") || is_mark("]");
      parts.push_back(absent ? constant(nullptr) : expression());
      sliced = sliced || is_mark(":");
    } while (accept_mark(":"));
    expect_mark("]");
    if (!sliced) return node(Node::item, "", std::move(parts));
    if (parts.size() > 4) fail("bad slice");
    while (parts.size() < 4) parts.push_back(constant(nullptr));
    return node(Node::slice, "", std::move(parts));
  }

  void arguments(Expression* call) {
    while (!accept_mark(")")) {
      if (is_mark("*") || is_mark("**")) fail("unpacking arguments with '" + now().text + "' is not supported");
      if (now().kind == Kind::name && next().kind == Kind::mark && next().text == "=") {
        call->words.push_back(take().text);
        take();
      } else if (!call->words.empty()) {
        fail("a positional argument after a named one");
      }
      call->children.push_back(expression());
      if (!is_mark(")")) expect_mark(",");
    }
    call->depth = 0;
    measure(call);
  }

  Expression filters_and_tests(Expression value) {
    for (;;) {
      if (accept_mark("|"))
        value = filter(std::move(value));
      else if (accept_word("is"))
        value = test(std::move(value));
      else if (is_mark("("))
        value = postfix(std::move(value));
      else
        return value;
    }
  }

  Expression test(Expression value) {
    const bool negated = accept_word("not");
    Expression test = node(Node::test, expect_name(), one(std::move(value)));
    if (accept_mark("(")) {
      arguments(&test);
    } else if (begins_argument_of_test()) {
      test.children.push_back(postfix(primary()));
      test.depth = 0;
      measure(&test);
    }
    if (negated) return node(Node::unary, "not", one(std::move(test)));
    return test;
  }

  /// A test may be followed by its argument without brackets: x is divisibleby 3.
  [[nodiscard]] bool begins_argument_of_test() const {
    if (is_word("is")) fail("tests cannot be chained with 'is'");
    if (is_word("else") || is_word("or") || is_word("and")) return false;
    return now().kind == Kind::name || now().kind == Kind::string || now().kind == Kind::integer ||
           now().kind == Kind::number || is_mark("[") || is_mark("{");
  }
};

class Parser : public ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  std::vector<Statement> run() {
    std::string ended_by;
    return statements({}, &ended_by);
  }

 private:
  using Statements = std::vector<Statement>;

  Statements statements(std::initializer_list<std::string_view> enders, std::string* ended_by) {
    const Level level(this);
    Statements all;
    for (;;) {
      if (now().kind == Kind::end) {
        if (enders.size() > 0) fail("missing '" + std::string(*(enders.end() - 1)) + "'");
        return all;
      }
      if (now().kind == Kind::text) {
        all.push_back(make(Type::text, take().text));
      } else if (now().kind == Kind::open_output) {
        all.push_back(output());
      } else {
        take();
        if (now().kind == Kind::name && std::find(enders.begin(), enders.end(), now().text) != enders.end()) {
          *ended_by = take().text;
          return all;
        }
        block(&all);
      }
    }
  }

  Statement make(Type kind, std::string text = {}) const {
    Statement statement;
    statement.kind = kind;
    statement.text = std::move(text);
    statement.line = now().line;
    return statement;
  }

  Statement output() {
    take();
    Statement statement = make(Type::output);
    statement.expression.push_back(tuple(true));
    close(Kind::close_output);
    return statement;
  }

  void block(Statements* all) {
    const std::string name = expect_name();
    if (name == "if") return all->push_back(conditional());
    if (name == "for") return all->push_back(loop());
    if (name == "set") return all->push_back(assign());
    if (name == "macro") return all->push_back(macro());
    if (name == "with") return all->push_back(scope());
    if (name == "filter") return all->push_back(filter_block());
    if (name == "break" || name == "continue") return all->push_back(leave_loop(name));
    if (name == "generation") return generation(all);
    fail("statement '" + name + "' is not supported");
  }

  Statements body_until(std::string_view end) {
    std::string ended_by;
    auto body = statements({end}, &ended_by);
    close(Kind::close_statement);
    return body;
  }

  /// Marks the assistant's text for training; renders as its content.
  void generation(Statements* all) {
    close(Kind::close_statement);
    for (Statement& inner : body_until("endgeneration")) all->push_back(std::move(inner));
  }

  Statement conditional() {
    Statement statement = make(Type::conditional);
    std::string ended_by = "elif";
    while (ended_by == "elif") {
      Statement::Branch branch{tuple(false), {}};
      close(Kind::close_statement);
      branch.body = statements({"elif", "else", "endif"}, &ended_by);
      statement.branches.push_back(std::move(branch));
    }
    close(Kind::close_statement);
    if (ended_by == "else") statement.otherwise = body_until("endif");
    return statement;
  }

  Statement loop() {
    Statement statement = make(Type::loop);
    statement.targets = targets();
    expect_word("in");
    statement.expression.push_back(tuple(false));
    if (accept_word("if")) statement.condition.push_back(expression());
    if (is_word("recursive")) fail("'recursive' is not supported");
    close(Kind::close_statement);
    ++loops_;
    std::string ended_by;
    statement.body = statements({"else", "endfor"}, &ended_by);
    --loops_;
    close(Kind::close_statement);
    if (ended_by == "else") statement.otherwise = body_until("endfor");
    return statement;
  }

  std::vector<Statement::Target> targets() {
    const bool bracketed = accept_mark("(");
    std::vector<Statement::Target> all;
    do {
      Statement::Target target{expect_name(), {}};
      if (accept_mark(".")) target.attribute = expect_name();
      all.push_back(std::move(target));
    } while (accept_mark(","));
    if (bracketed) expect_mark(")");
    return all;
  }

  Statement assign() {
    Statement statement = make(Type::assign);
    statement.targets = targets();
    if (accept_mark("=")) {
      statement.expression.push_back(tuple(true));
      close(Kind::close_statement);
      return statement;
    }
    if (statement.targets.size() > 1) fail("expected '='");
    statement.kind = Type::capture;
    statement.expression.push_back(filtered(node(Expression::Kind::name, "", {})));
    close(Kind::close_statement);
    statement.body = body_until("endset");
    return statement;
  }

  Statement filter_block() {
    Statement statement = make(Type::filtered);
    statement.expression.push_back(filtered(filter(node(Expression::Kind::name, "", {}))));
    close(Kind::close_statement);
    statement.body = body_until("endfilter");
    return statement;
  }

  Statement scope() {
    Statement statement = make(Type::scope);
    while (!at_end_of_tag()) {
      Binding binding{expect_name(), {}};
      expect_mark("=");
      binding.value.push_back(expression());
      statement.bindings.push_back(std::move(binding));
      if (!at_end_of_tag()) expect_mark(",");
    }
    close(Kind::close_statement);
    statement.body = body_until("endwith");
    return statement;
  }

  /// Macros see the template's own variables only, so one that might use those of a loop around it is refused.
  Statement macro() {
    if (loops_ > 0 || in_macro_) fail("'macro' inside a loop or another macro is not supported");
    Statement statement = make(Type::macro, expect_name());
    expect_mark("(");
    while (!accept_mark(")")) {
      statement.bindings.push_back(parameter());
      if (!is_mark(")")) expect_mark(",");
    }
    close(Kind::close_statement);
    in_macro_ = true;
    statement.body = body_until("endmacro");
    in_macro_ = false;
    return statement;
  }

  Binding parameter() {
    Binding parameter{expect_name(), {}};
    if (accept_mark("=")) parameter.value.push_back(expression());
    return parameter;
  }

  Statement leave_loop(const std::string& name) {
    if (loops_ == 0) fail("'" + name + "' outside a loop");
    close(Kind::close_statement);
    return make(name == "break" ? Type::stop_loop : Type::next_iteration);
  }

  int loops_ = 0;
  bool in_macro_ = false;
};

}  // namespace

std::vector<Statement> parse_template(std::string_view source) { return Parser(template_tokens(source)).run(); }

}  // namespace shoal::text
