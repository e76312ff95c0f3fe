#include "text/chat_template.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "shoal/error.hpp"

namespace shoal::text {
namespace {

using Json = nlohmann::ordered_json;

TEST(ChatTemplate, RendersAsTransformersDoes) {
  std::ifstream in(SHOAL_TEST_DATA "/chat_templates.json");
  const Json cases = Json::parse(in);
  ASSERT_GT(cases.size(), 30U);

  for (const Json& one : cases) {
    const ChatTemplate chat(one["template"].get<std::string>());
    if (one.contains("text")) {
      EXPECT_EQ(chat.render(one["variables"]), one["text"].get<std::string>()) << one["name"] << one["variables"];
    } else {
      try {
        const std::string text = chat.render(one["variables"]);
        FAIL() << one["name"] << " rendered " << text;
      } catch (const UsageError& error) {
        EXPECT_NE(std::string(error.what()).find(one["error"].get<std::string>()), std::string::npos) << error.what();
      }
    }
  }
}

std::string problem_of(const std::string& source) {
  try {
    return "rendered " + ChatTemplate(source).render(Json{{"messages", Json::array()}});
  } catch (const ModelError& error) {
    return error.what();
  }
}

TEST(ChatTemplate, NamesTheLineAndWhatIsNotSupported) {
  EXPECT_NE(problem_of("a\n{% macro f() %}{% endmacro %}").find("'macro' is not supported at line 2"),
            std::string::npos);
  EXPECT_NE(problem_of("{{ 'x' | md5 }}").find("filter 'md5'"), std::string::npos);
  EXPECT_NE(problem_of("{{ f() }}").find("function 'f'"), std::string::npos);
  EXPECT_NE(problem_of("{% if true %}x").find("missing 'endif'"), std::string::npos);
  EXPECT_NE(problem_of("{{ 'x").find("unclosed string"), std::string::npos);
  EXPECT_NE(problem_of("{{ (1 }}").find("expected ')'"), std::string::npos);
  EXPECT_NE(problem_of("{{ missing.member.member }}").find("undefined"), std::string::npos);
}

}  // namespace
}  // namespace shoal::text
