// Syntax tree of chat templates, and its parser: the part of Jinja that the model families' templates use.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/template_value.hpp"

namespace shoal::text {

struct Expression {
  enum class Kind {
    constant,
    name,
    list,        ///< children
    tuple,       ///< children
    dict,        ///< children: key, value, key, value, ...
    attribute,   ///< children[0].text
    item,        ///< children[0][children[1]]
    slice,       ///< children[0][children[1]:children[2]:children[3]]; empty parts are constants none
    call,        ///< children[0](children[1..]), the last words.size() arguments by name
    filter,      ///< children[0] | text(children[1..]), the last words.size() arguments by name
    test,        ///< children[0] is text(children[1..]), the last words.size() arguments by name
    unary,       ///< text: not, -, +
    binary,      ///< text: + - * / // % ** ~ and or
    comparison,  ///< children[0] words[0] children[1] words[1] ...: == != < > <= >= in, not in
    conditional  ///< children[0] if children[1] else children[2]; children[2] may be missing
  };
  Kind kind;
  std::string text;
  TemplateValue value = nullptr;
  std::vector<Expression> children;
  std::vector<std::string> words;
  int line = 0;
  int depth = 0;  ///< levels of expressions, this one included
};

/// A parameter of a macro or a variable of "with"; a parameter may have no value.
struct Binding {
  std::string name;
  std::vector<Expression> value;
};

struct Statement {
  enum class Kind {
    text,
    output,       ///< expression
    conditional,  ///< branches, otherwise
    loop,         ///< targets in expression, condition; body, otherwise
    assign,       ///< targets = expression
    capture,      ///< targets = the text of body, seen by expression as the name ""
    filtered,     ///< output of the text of body, seen by expression as the name ""
    macro,        ///< text(bindings): body
    scope,        ///< with bindings: body
    stop_loop,
    next_iteration
  };
  struct Branch {
    Expression condition;
    std::vector<Statement> body;
  };
  struct Target {
    std::string name;
    std::string attribute;  ///< of a namespace, else empty
  };
  Kind kind;
  std::string text;
  std::vector<Target> targets;
  std::vector<Expression> expression;  ///< none or one
  std::vector<Expression> condition;   ///< loop: "if", none or one
  std::vector<Branch> branches;
  std::vector<Binding> bindings;
  std::vector<Statement> body;
  std::vector<Statement> otherwise;
  int line = 0;
};

/// @throws TemplateError with the line
std::vector<Statement> parse_template(std::string_view source);

}  // namespace shoal::text
