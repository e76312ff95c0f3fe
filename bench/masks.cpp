// Token masks over a synthetic vocabulary of 150,000 tokens: the cold walk over the trie, and the cached look-up that
// nearly every particle pays instead (goal: at most 50 us, median).
//
//   bench_masks [Google Benchmark options]
//
// "walk" makes the potential anew outside the timed part, so that its cache is empty; "look_up" asks for the states
// that a text runs through, all of them seen before; "advance" feeds a token. Limits: reading the trie once for a walk,
// the goal for a look-up.
#include <benchmark/benchmark.h>

#include <array>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "limit.hpp"
#include "shoal/potential.hpp"

namespace shoal::bench {
namespace {

constexpr std::size_t vocabulary_size = 150'000;
constexpr double goal_s = 50e-6;  ///< of a look-up, median

/// A word of a few syllables, of one script.
std::string random_word(std::mt19937& generator) {
  static const std::array<std::vector<std::string>, 3> syllables{{
      {"a",   "e",  "i", "o",  "u",  "an", "en", "in", "on", "er", "re", "st", "th", "ing",  "ed", "ly", "tion", "pro",
       "com", "de", "s", "al", "le", "ti", "ra", "ne", "ma", "co", "be", "qu", "x",  "ight", "ck", "sh", "w"},
      {"а", "е", "о", "ст", "но", "ра", "пр", "на", "то", "ко", "ть", "ы", "й", "ли", "ер"},
      {"的", "一", "是", "不", "了", "人", "我", "在", "有", "他", "这", "中", "大", "来", "上", "国", "个", "到",
       "说"},
  }};
  const std::size_t script = generator() % 10;
  const auto& parts = syllables[script < 7 ? 0 : script < 9 ? 1 : 2];
  std::string word = generator() % 2 == 0 ? " " : "";
  for (std::size_t n = 1 + generator() % 4; n > 0; --n) word += parts[generator() % parts.size()];
  if (word.front() >= 'a' && word.front() <= 'z' && generator() % 5 == 0) word.front() ^= 0x20;
  return word;
}

/// Digits, punctuation and the runs of white space that code is full of.
std::string random_symbols(std::mt19937& generator) {
  static const std::string symbols = "0123456789.,;:!?()[]{}<>\"'`=+-*/\\|&%$#@^~_";
  if (generator() % 4 == 0) return std::string(1 + generator() % 60, generator() % 2 == 0 ? ' ' : '\n');
  std::string text;
  for (std::size_t n = 1 + generator() % 4; n > 0; --n) text += symbols[generator() % symbols.size()];
  return text;
}

/// All single bytes, as in byte-level vocabularies, then words and symbols.
Vocabulary make_vocabulary() {
  std::mt19937 generator(1);
  std::set<std::string> tokens;
  for (int b = 0; b < 256; ++b) tokens.insert(std::string(1, static_cast<char>(b)));
  while (tokens.size() + 1 < vocabulary_size)
    tokens.insert(generator() % 8 == 0 ? random_symbols(generator) : random_word(generator));
  std::vector<std::string> bytes(tokens.begin(), tokens.end());
  bytes.emplace_back();
  return {std::move(bytes), {TokenId{static_cast<TokenId::value_type>(vocabulary_size - 1)}}};
}

const Vocabulary& vocabulary() {
  static const Vocabulary made = make_vocabulary();
  return made;
}

struct Case {
  const char* name;
  PotentialPtr (*make)();
  const char* text;  ///< the potential allows it
};

const std::array cases{
    Case{"any_text", [] { return regex_potential("(?s).*"); }, "Parallel processing runs many tasks."},
    Case{"sentence_end", [] { return regex_potential(R"(.*[.!?]$)"); }, "Parallel processing runs many tasks."},
    Case{"lower_case", [] { return regex_potential("[a-z ]*"); }, "parallel processing runs many tasks"},
    Case{"json_string", [] { return regex_potential(R"("(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-f]{4})*")"); },
         "\"Parallel \\\"processing\\\" runs"},
    Case{"number", [] { return regex_potential("[0-9]+"); }, "31415926535"},
    Case{"date", [] { return regex_potential(R"((?:19|20)\d\d-\d\d-\d\d: \p{L}[\p{L} ]*\.)"); },
         "2024-05-17: A day of."},
    Case{"forbidden",
         [] {
           return forbidden_content_potential({"as an AI", "language model", "I cannot"});
         },
         "As an assistant, I can help."},
    Case{"length_words", [] { return length_potential(3, 6, LengthUnit::words); },
         "Parallel processing runs many tasks."},
};

/// The states that the case's text runs through, byte by byte.
std::vector<PotentialState> states_of(const Potential& potential, std::string_view text) {
  std::vector<PotentialState> states{potential.start()};
  for (const char byte : text) {
    states.push_back(states.back());
    potential.advance(states.back(), {&byte, 1});
  }
  return states;
}

void walk(benchmark::State& run, const Case& of) {
  std::size_t i = 0;
  for (auto _ : run) {
    run.PauseTiming();
    PotentialPtr potential = of.make();
    const auto states = states_of(*potential, of.text);
    run.ResumeTiming();
    benchmark::DoNotOptimize(potential->allowed(states[i++ % states.size()], vocabulary()));
    run.PauseTiming();
    potential.reset();
    run.ResumeTiming();
  }
  static const double trie_s = read_seconds(vocabulary().trie().nodes.size() * sizeof(VocabularyTrie::Node));
  set_limit(&run, trie_s);
}

void look_up(benchmark::State& run, const Case& of) {
  const PotentialPtr potential = of.make();
  const auto states = states_of(*potential, of.text);
  for (const auto& state : states) benchmark::DoNotOptimize(potential->allowed(state, vocabulary()));
  std::size_t i = 0;
  for (auto _ : run) {
    benchmark::DoNotOptimize(potential->allowed(states[i], vocabulary()));
    if (++i == states.size()) i = 0;
  }
  set_limit(&run, goal_s);
}

void advance(benchmark::State& run, const PotentialPtr& potential, const std::string& token) {
  PotentialState state = potential->start();
  for (auto _ : run) {
    potential->advance(state, token);
    benchmark::DoNotOptimize(potential->log_prefix(state));
  }
}

void register_all() {
  for (const Case& of : cases) {
    benchmark::RegisterBenchmark((std::string("walk/") + of.name).c_str(), walk, of)
        ->Unit(benchmark::kMicrosecond)
        ->Iterations(200);
    benchmark::RegisterBenchmark((std::string("look_up/") + of.name).c_str(), look_up, of)
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::RegisterBenchmark("advance/regex", advance, regex_potential(R"(.*[.!?]$)"), " process");
  benchmark::RegisterBenchmark("advance/conversational", advance, style_potential(conversational_style()), " process");
  benchmark::RegisterBenchmark("advance/technical", advance, style_potential(technical_style()), " process");
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::bench::register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
