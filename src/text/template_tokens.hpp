// Lexer of chat templates: text between tags, and the words inside {{ }} and {% %}.
// White space as transformers renders templates: trim_blocks and lstrip_blocks on, {%- and -%} honoured.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shoal::text {

struct TemplateToken {
  enum class Kind {
    text,
    open_output,
    close_output,
    open_statement,
    close_statement,
    name,
    string,
    integer,
    number,
    mark,
    end
  };
  Kind kind;
  std::string text;
  int line;
};

/// @throws TemplateError with the line
std::vector<TemplateToken> template_tokens(std::string_view source);

}  // namespace shoal::text
