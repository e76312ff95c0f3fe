// Syntax tree of chat templates, and its parser: the part of Jinja that the model families' templates use.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "text/template_tokens.hpp"

namespace shoal::text {

using TemplateValue = nlohmann::ordered_json;  ///< discarded = undefined

struct Expression {
  enum class Kind {
    constant,
    name,
    list,        ///< children
    dict,        ///< children: key, value, key, value, ...
    attribute,   ///< children[0].text
    item,        ///< children[0][children[1]]
    slice,       ///< children[0][children[1]:children[2]:children[3]]; empty parts are constants none
    call,        ///< children[0](children[1..]), the last named.size() arguments by name
    filter,      ///< children[0] | text(children[1..])
    test,        ///< children[0] is text(children[1..])
    unary,       ///< text: not, -, +
    binary,      ///< text: + - * / // % ~ == != < > <= >= in and or
    conditional  ///< children[0] if children[1] else children[2]
  };
  Kind kind;
  std::string text;
  TemplateValue value;
  std::vector<Expression> children;
  std::vector<std::string> named;
  int line = 0;
};

struct Statement {
  enum class Kind { text, output, conditional, loop, assign, capture };
  struct Branch {
    Expression condition;
    std::vector<Statement> body;
  };
  Kind kind;
  std::string text;                  ///< text; assign, capture: the variable
  std::string attribute;             ///< assign: of a namespace, else empty
  std::vector<std::string> targets;  ///< loop
  Expression expression;             ///< output, loop (what it runs over), assign
  std::vector<Expression> filter;    ///< loop: "if", none or one
  std::vector<Branch> branches;      ///< conditional
  std::vector<Statement> body;       ///< loop, capture
  std::vector<Statement> otherwise;  ///< conditional, loop: else
};

/// @throws TemplateError with the line
std::vector<Statement> parse_template(std::string_view source);

}  // namespace shoal::text
