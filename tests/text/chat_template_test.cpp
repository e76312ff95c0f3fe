#include "text/chat_template.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>

#include "shoal/error.hpp"

namespace shoal::text {
namespace {

using Json = nlohmann::ordered_json;

Json read_fixture() {
  std::ifstream in(SHOAL_TEST_DATA "/chat_templates.json");
  return Json::parse(in);
}

/// The moment that the fixtures were rendered at, 2026-11-24 09:05 local time.
std::chrono::system_clock::time_point fixture_time() {
  std::tm fields{};
  fields.tm_year = 126;
  fields.tm_mon = 10;
  fields.tm_mday = 24;
  fields.tm_hour = 9;
  fields.tm_min = 5;
  fields.tm_isdst = -1;
  return std::chrono::system_clock::from_time_t(std::mktime(&fields));
}

/// The text, or the line of the error.
std::string rendered(const std::string& source, const Json& variables) {
  try {
    return ChatTemplate(source).render(variables, fixture_time());
  } catch (const Error& error) {
    return std::string("refused: ") + error.what();
  }
}

TEST(ChatTemplate, RendersAsTransformersDoes) {
  const Json fixture = read_fixture();
  ASSERT_GT(fixture["cases"].size(), 400U);

  for (const Json& one : fixture["cases"]) {
    const Json& variables = fixture["variables"][one[1].get<std::size_t>()];
    const std::string text = rendered(fixture["templates"][one[0].get<std::string>()], variables);
    if (one[2].is_string())
      EXPECT_EQ(text, one[2].get<std::string>()) << one[0] << variables.dump();
    else
      EXPECT_TRUE(text.starts_with("refused: ")) << one[0] << variables.dump() << text;
  }
}

TEST(ChatTemplate, RefusesInTheTemplatesOwnWords) {
  const Json variables = {{"messages", Json::array()}};

  EXPECT_THROW((void)ChatTemplate("{{ raise_exception('only users') }}").render(variables), UsageError);
  EXPECT_NE(rendered("{{ raise_exception('only users') }}", variables).find("(only users)"), std::string::npos);
}

TEST(ChatTemplate, RefusesWhatJinjaRefuses) {
  const Json fixture = read_fixture();

  for (const std::string source : fixture["faulty"]) {
    const std::string text = rendered(source, fixture["variables"][0]);
    EXPECT_TRUE(text.starts_with("refused: cannot use the chat template (")) << source << " gave " << text;
    EXPECT_NE(text.find("at line 1"), std::string::npos) << source << " gave " << text;
  }
}

TEST(ChatTemplate, NamesTheLineAndWhatIsNotSupported) {
  const std::pair<const char*, const char*> refused[] = {
      {"a\n{% include 'x' %}", "statement 'include' is not supported at line 2"},
      {"a\n\n{% call f() %}{% endcall %}", "statement 'call' is not supported at line 3"},
      {"{% do x %}", "statement 'do'"},
      {"{% for x in y recursive %}{% endfor %}", "'recursive' is not supported"},
      {"{% for x in y %}{% macro f() %}{% endmacro %}{% endfor %}", "'macro' inside a loop"},
      {"\n{{ 'x' | md5 }}", "filter 'md5' is not supported at line 2"},
      {"{{ 'x' is odd_one }}", "test 'odd_one' is not supported"},
      {"{{ '{}'.format(1) }}", "method 'format' is not supported"},
      {"{{ '%s' % 1 }}", "formatting a text with '%' is not supported"},
      {"{{ f() }}", "'f' is undefined"},
      {"{{ f(*x) }}", "unpacking arguments with '*' is not supported"},
      {"{{ joiner() }}", "function 'joiner' is not supported"},
      {"{% for x in 'a' %}{{ loop.changed(x) }}{% endfor %}", "'loop.changed' is not supported"},
      {"{{ '\\N{DASH}' }}", "'\\N' in a string is not supported"},
      {"{{ {1: 2} }}", "keys that are no texts"},
      {"{% if true %}x", "missing 'endif'"},
      {"{{ 'x", "unclosed string"},
      {"{{ missing.member.member }}", "'missing' is undefined"},
      {"\xff", "not UTF-8"}};

  for (const auto& [source, named] : refused) {
    const std::string text = rendered(source, Json{{"messages", Json::array()}});
    EXPECT_NE(text.find(named), std::string::npos) << source << " gave " << text;
  }
}

TEST(ChatTemplate, RendersThousandsOfMessages) {
  const std::string source = read_fixture()["templates"]["qwen3"];
  Json variables = {{"messages", Json::array()}, {"add_generation_prompt", true}};
  for (int i = 0; i < 3000; ++i)
    variables["messages"].push_back({{"role", i % 2 == 0 ? "user" : "assistant"}, {"content", std::string(500, 'x')}});

  const std::string text = rendered(source, variables);

  EXPECT_GT(text.size(), 1'500'000U) << text.substr(0, 200);
  EXPECT_TRUE(text.ends_with("<|im_start|>assistant\n"));
}

std::string repeated(const std::string& unit, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += unit;
  return text;
}

TEST(ChatTemplate, RefusesToRecurseWorkOrWriteWithoutBound) {
  const std::string sources[] = {
      "{{ " + repeated("(", 10'000) + "1" + repeated(")", 10'000) + " }}",
      "{{ " + repeated("not ", 10'000) + "1 }}",
      "{{ 1" + repeated(" + 1", 10'000) + " }}",
      "{{ x" + repeated(".a", 10'000) + " }}",
      repeated("{% if true %}", 10'000) + repeated("{% endif %}", 10'000),
      "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
      "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
      "{% set ns = namespace(x='ab') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
      "{% set ns = namespace(x=[]) %}{% for i in range(999) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}",
      "{{ 'a' * 9999999999 }}",
      "{{ 'aaaa' | replace('a', 'b' * 9999999) }}",
      "{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}",
      "{{ range(9999999) }}",
      "{{ ('x' * 9999999) | list }}",
      "{% set x = 'x' * 9999999 %}{{ [x, x] | map('replace', 'x', 'y') | list }}",
      "{{ 9 ** 99 }}",
      "{{ 9223372036854775807 + 1 }}"};

  for (const std::string& source : sources) {
    const std::string text = rendered(source, Json{{"messages", Json::array()}});
    EXPECT_TRUE(text.starts_with("refused: cannot use the chat template (")) << source.substr(0, 80);
  }
}

}  // namespace
}  // namespace shoal::text
