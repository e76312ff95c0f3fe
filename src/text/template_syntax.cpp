#include "text/template_syntax.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>

namespace shoal::text {
namespace {

using Kind = TemplateToken::Kind;
using Node = Expression::Kind;

class Parser {
 public:
  explicit Parser(std::vector<TemplateToken> tokens) : tokens_(std::move(tokens)) {}

  std::vector<Statement> run() {
    std::string ended_by;
    auto all = statements({}, &ended_by);
    return all;
  }

 private:
  // Tokens
  [[nodiscard]] const TemplateToken& now() const { return tokens_[at_]; }
  [[nodiscard]] const TemplateToken& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  [[nodiscard]] bool is(Kind kind, std::string_view text) const { return now().kind == kind && now().text == text; }
  [[nodiscard]] bool is_mark(std::string_view text) const { return is(Kind::mark, text); }
  [[nodiscard]] bool is_word(std::string_view text) const { return is(Kind::name, text); }
  TemplateToken take() { return tokens_[at_ < tokens_.size() - 1 ? at_++ : at_]; }
  bool accept(Kind kind, std::string_view text) {
    if (!is(kind, text)) return false;
    take();
    return true;
  }
  [[noreturn]] void fail(const std::string& problem) const {
    throw TemplateError(problem + " at line " + std::to_string(now().line));
  }
  void expect_mark(std::string_view text) {
    if (!accept(Kind::mark, text)) fail("expected '" + std::string(text) + "'");
  }
  void expect_word(std::string_view text) {
    if (!accept(Kind::name, text)) fail("expected '" + std::string(text) + "'");
  }
  std::string expect_name() {
    if (now().kind != Kind::name) fail("expected a name");
    return take().text;
  }
  void close(Kind kind) {
    if (now().kind != kind) fail("unexpected '" + now().text + "' in a tag");
    take();
  }

  // Statements
  std::vector<Statement> statements(std::initializer_list<std::string_view> enders, std::string* ended_by) {
    std::vector<Statement> all;
    for (;;) {
      if (now().kind == Kind::end) {
        if (enders.size() > 0) fail("missing '" + std::string(*(enders.end() - 1)) + "'");
        return all;
      }
      if (now().kind == Kind::text) {
        all.push_back(make(Statement::Kind::text, take().text));
      } else if (now().kind == Kind::open_output) {
        take();
        Statement output = make(Statement::Kind::output);
        output.expression = expression();
        close(Kind::close_output);
        all.push_back(std::move(output));
      } else {
        take();
        if (std::find(enders.begin(), enders.end(), now().text) != enders.end()) {
          *ended_by = take().text;
          return all;
        }
        block(&all);
      }
    }
  }

  static Statement make(Statement::Kind kind, std::string text = {}) {
    Statement statement;
    statement.kind = kind;
    statement.text = std::move(text);
    return statement;
  }

  void block(std::vector<Statement>* all) {
    const std::string name = expect_name();
    if (name == "if") return all->push_back(conditional());
    if (name == "for") return all->push_back(loop());
    if (name == "set") return all->push_back(assign());
    if (name == "generation") {  // marks the assistant's text for training; renders as its content
      close(Kind::close_statement);
      for (Statement& inner : body_until("endgeneration")) all->push_back(std::move(inner));
      return;
    }
    fail("statement '" + name + "' is not supported");
  }

  std::vector<Statement> body_until(std::string_view end) {
    std::string ended_by;
    auto body = statements({end}, &ended_by);
    close(Kind::close_statement);
    return body;
  }

  Statement conditional() {
    Statement statement = make(Statement::Kind::conditional);
    std::string ended_by = "elif";
    while (ended_by == "elif") {
      Statement::Branch branch{expression(), {}};
      close(Kind::close_statement);
      branch.body = statements({"elif", "else", "endif"}, &ended_by);
      statement.branches.push_back(std::move(branch));
    }
    close(Kind::close_statement);
    if (ended_by == "else") statement.otherwise = body_until("endif");
    return statement;
  }

  Statement loop() {
    Statement statement = make(Statement::Kind::loop);
    do statement.targets.push_back(expect_name());
    while (accept(Kind::mark, ","));
    expect_word("in");
    statement.expression = disjunction();
    if (accept(Kind::name, "if")) statement.filter.push_back(expression());
    close(Kind::close_statement);
    std::string ended_by;
    statement.body = statements({"else", "endfor"}, &ended_by);
    close(Kind::close_statement);
    if (ended_by == "else") statement.otherwise = body_until("endfor");
    return statement;
  }

  Statement assign() {
    Statement statement = make(Statement::Kind::assign, expect_name());
    if (accept(Kind::mark, ".")) statement.attribute = expect_name();
    if (accept(Kind::mark, "=")) {
      statement.expression = expression();
      close(Kind::close_statement);
      return statement;
    }
    close(Kind::close_statement);
    statement.kind = Statement::Kind::capture;
    statement.body = body_until("endset");
    return statement;
  }

  // Expressions, loosest binding first
  Expression node(Node kind, std::string text, std::vector<Expression> children) const {
    return {kind, std::move(text), {}, std::move(children), {}, now().line};
  }
  Expression constant(TemplateValue value) const { return {Node::constant, {}, std::move(value), {}, {}, now().line}; }

  Expression expression() {
    Expression value = disjunction();
    while (accept(Kind::name, "if")) {
      Expression condition = disjunction();
      Expression otherwise = constant("");
      if (accept(Kind::name, "else")) otherwise = expression();
      value = node(Node::conditional, "", {std::move(value), std::move(condition), std::move(otherwise)});
    }
    return value;
  }

  Expression disjunction() {
    Expression left = conjunction();
    while (accept(Kind::name, "or")) left = node(Node::binary, "or", {std::move(left), conjunction()});
    return left;
  }

  Expression conjunction() {
    Expression left = negation();
    while (accept(Kind::name, "and")) left = node(Node::binary, "and", {std::move(left), negation()});
    return left;
  }

  Expression negation() {
    if (accept(Kind::name, "not")) return node(Node::unary, "not", {negation()});
    return comparison();
  }

  Expression comparison() {
    Expression left = sum();
    for (;;) {
      constexpr std::array<std::string_view, 6> marks{"==", "!=", "<", ">", "<=", ">="};
      if (now().kind == Kind::mark && std::find(marks.begin(), marks.end(), now().text) != marks.end()) {
        const std::string mark = take().text;
        left = node(Node::binary, mark, {std::move(left), sum()});
      } else if (accept(Kind::name, "in")) {
        left = node(Node::binary, "in", {std::move(left), sum()});
      } else if (is_word("not") && next().kind == Kind::name && next().text == "in") {
        take();
        take();
        left = node(Node::unary, "not", {node(Node::binary, "in", {std::move(left), sum()})});
      } else {
        return left;
      }
    }
  }

  Expression sum() {
    Expression left = concatenation();
    while (is_mark("+") || is_mark("-")) {
      const std::string mark = take().text;
      left = node(Node::binary, mark, {std::move(left), concatenation()});
    }
    return left;
  }

  Expression concatenation() {
    Expression left = product();
    while (accept(Kind::mark, "~")) left = node(Node::binary, "~", {std::move(left), product()});
    return left;
  }

  Expression product() {
    Expression left = signed_value();
    while (is_mark("*") || is_mark("/") || is_mark("//") || is_mark("%")) {
      const std::string mark = take().text;
      left = node(Node::binary, mark, {std::move(left), signed_value()});
    }
    return left;
  }

  Expression signed_value() {
    if (is_mark("-") || is_mark("+")) {
      const std::string mark = take().text;
      return node(Node::unary, mark, {signed_value()});
    }
    Expression value = postfix(primary());
    return filters_and_tests(std::move(value));
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
      case Kind::number:
        return constant(TemplateValue::parse(token.text, nullptr, false));
      case Kind::name:
        return named(token.text);
      case Kind::mark:
        if (token.text == "(") {
          Expression inner = expression();
          expect_mark(")");
          return inner;
        }
        if (token.text == "[") return list();
        if (token.text == "{") return dict();
        [[fallthrough]];
      default:
        fail("unexpected '" + token.text + "'");
    }
  }

  Expression named(const std::string& name) const {
    if (name == "true" || name == "True") return constant(true);
    if (name == "false" || name == "False") return constant(false);
    if (name == "none" || name == "None") return constant(nullptr);
    return node(Node::name, name, {});
  }

  Expression list() {
    Expression all = node(Node::list, "", {});
    while (!accept(Kind::mark, "]")) {
      all.children.push_back(expression());
      if (!is_mark("]")) expect_mark(",");
    }
    return all;
  }

  Expression dict() {
    Expression all = node(Node::dict, "", {});
    while (!accept(Kind::mark, "}")) {
      all.children.push_back(expression());
      expect_mark(":");
      all.children.push_back(expression());
      if (!is_mark("}")) expect_mark(",");
    }
    return all;
  }

  Expression postfix(Expression value) {
    for (;;) {
      if (accept(Kind::mark, ".")) {
        if (now().kind != Kind::name && now().kind != Kind::integer) fail("expected a name after '.'");
        value = now().kind == Kind::integer ? node(Node::item, "", {std::move(value), constant(std::stoi(take().text))})
                                            : node(Node::attribute, take().text, {std::move(value)});
      } else if (accept(Kind::mark, "[")) {
        value = subscript(std::move(value));
      } else if (accept(Kind::mark, "(")) {
        Expression call = node(Node::call, "", {std::move(value)});
        arguments(&call);
        value = std::move(call);
      } else {
        return value;
      }
    }
  }

  Expression subscript(Expression value) {
    std::vector<Expression> parts;
    bool sliced = false;
    for (;;) {
      const bool absent = is_mark(":") || is_mark("]");
      parts.push_back(absent ? constant(nullptr) : expression());
      if (!accept(Kind::mark, ":")) break;
      sliced = true;
    }
    expect_mark("]");
    if (!sliced) return node(Node::item, "", {std::move(value), std::move(parts[0])});
    if (parts.size() > 3) fail("bad slice");
    while (parts.size() < 3) parts.push_back(constant(nullptr));
    parts.insert(parts.begin(), std::move(value));
    return node(Node::slice, "", std::move(parts));
  }

  void arguments(Expression* call) {
    while (!accept(Kind::mark, ")")) {
      if (now().kind == Kind::name && next().kind == Kind::mark && next().text == "=") {
        call->named.push_back(take().text);
        take();
      } else if (!call->named.empty()) {
        fail("positional argument after a named one");
      }
      call->children.push_back(expression());
      if (!is_mark(")")) expect_mark(",");
    }
  }

  Expression filters_and_tests(Expression value) {
    for (;;) {
      if (accept(Kind::mark, "|")) {
        value = node(Node::filter, expect_name(), {std::move(value)});
        if (accept(Kind::mark, "(")) arguments(&value);
      } else if (accept(Kind::name, "is")) {
        const bool negated = accept(Kind::name, "not");
        value = node(Node::test, expect_name(), {std::move(value)});
        if (accept(Kind::mark, "("))
          arguments(&value);
        else if (now().kind == Kind::string || now().kind == Kind::integer)
          value.children.push_back(primary());
        if (negated) value = node(Node::unary, "not", {std::move(value)});
      } else {
        return value;
      }
      value = postfix(std::move(value));
    }
  }

  std::vector<TemplateToken> tokens_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<Statement> parse_template(std::string_view source) { return Parser(template_tokens(source)).run(); }

}  // namespace shoal::text
