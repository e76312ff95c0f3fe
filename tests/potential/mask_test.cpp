#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <thread>

#include "potential/mask_cache.hpp"
#include "potential/random_patterns.hpp"
#include "potential/support.hpp"

namespace shoal::test {
namespace {

void expect_exact(const Potential& potential, const std::string& text, const Vocabulary& vocabulary) {
  const PotentialState state = state_after(potential, text);
  const auto mask = potential.allowed(state, vocabulary);
  const TokenMask found = mask ? *mask : everything(vocabulary);
  const TokenMask expected = mask_by_trial(potential, state, vocabulary);
  ASSERT_EQ(found.bits.size(), expected.bits.size());
  EXPECT_EQ(difference(found, expected, vocabulary), "") << "after " << testing::PrintToString(text);
}

TEST(Mask, HoldsExactlyTheTokensThatKeepTheTextPossible) {
  std::mt19937 generator(11);
  for (int round = 0; round < 4; ++round) {
    const Vocabulary vocabulary = random_vocabulary(generator, 500, SingleBytes::all);
    for (const auto& [name, make] : all_kinds()) {
      SCOPED_TRACE(name);
      const PotentialPtr potential = make();
      for (int i = 0; i < 12; ++i) expect_exact(*potential, random_text(generator, 6), vocabulary);
    }
  }
}

TEST(Mask, OfKindsOtherThanRegexIsExactWithoutSingleByteTokens) {
  std::mt19937 generator(12);
  for (int round = 0; round < 4; ++round) {
    const Vocabulary vocabulary = random_vocabulary(generator, 80, SingleBytes::none);
    for (const auto& [name, make] : all_kinds()) {
      const PotentialPtr potential = make();
      if (potential->name() == "regex" || potential->name() == "constraint") continue;
      SCOPED_TRACE(name);
      for (int i = 0; i < 12; ++i) expect_exact(*potential, random_text(generator, 6), vocabulary);
    }
  }
}

/// Tries all token sequences: which of the states reachable from a state's tokens can reach a complete text.
class TokenSearch {
 public:
  TokenSearch(const Potential& potential, const Vocabulary& vocabulary)
      : potential_(potential), vocabulary_(vocabulary) {}

  TokenMask mask(const PotentialState& state) {
    TokenMask mask = mask_by_trial(potential_, state, vocabulary_);
    for (std::size_t id = 0; id < static_cast<std::size_t>(vocabulary_.size()); ++id)
      if (mask.test(token(id)) && !can_complete(after(state, id)))
        mask.bits[id / 64] &= ~(std::uint64_t{1} << (id % 64));
    return mask;
  }

 private:
  [[nodiscard]] PotentialState after(PotentialState state, std::size_t id) const {
    potential_.advance(state, vocabulary_.bytes(token(id)));
    return state;
  }

  bool can_complete(const PotentialState& start) {
    if (const auto known = known_.find(start); known != known_.end()) return known->second;
    std::set<PotentialState> seen{start};
    std::deque<PotentialState> pending{start};
    bool found = false;
    while (!pending.empty() && !found) {
      const PotentialState state = pending.front();
      pending.pop_front();
      found = potential_.log_complete(state) > -infinity;
      const TokenMask next = mask_by_trial(potential_, state, vocabulary_);
      for (std::size_t id = 0; id < static_cast<std::size_t>(vocabulary_.size()); ++id)
        if (next.test(token(id)))
          if (auto [place, added] = seen.insert(after(state, id)); added) pending.push_back(*place);
    }
    return known_[start] = found;
  }

  const Potential& potential_;
  const Vocabulary& vocabulary_;
  std::map<PotentialState, bool> known_;
};

TEST(Mask, OfARegexLeavesOutTokensAfterWhichTheVocabularyCannotCompleteTheText) {
  std::mt19937 generator(13);
  RandomPatterns random({"a", "b", "é", "€", ".", "[^a]", "1", "the", "ab", "\\W", "\\b"}, {"*", "+", "?", "{2,3}"},
                        13);
  int left_out = 0;
  for (int i = 0; i < 150; ++i) {
    const std::string pattern = random.make(3);
    PotentialPtr potential;
    if (!error_of([&] { potential = regex_potential(pattern); }).empty()) continue;
    const Vocabulary vocabulary = random_vocabulary(generator, 12, SingleBytes::none);
    TokenSearch search(*potential, vocabulary);
    for (int j = 0; j < 4; ++j) {
      const PotentialState state = state_after(*potential, random_text(generator, 2));
      const TokenMask expected = search.mask(state);
      ASSERT_EQ(difference(*potential->allowed(state, vocabulary), expected, vocabulary), "") << pattern;
      left_out += difference(mask_by_trial(*potential, state, vocabulary), expected, vocabulary).empty() ? 0 : 1;
    }
  }
  EXPECT_GT(left_out, 20);
}

TEST(Mask, OfRandomRegexesIsExactOnAVocabularyOf2000Tokens) {
  std::mt19937 generator(14);
  const Vocabulary vocabulary = random_vocabulary(generator, 1998, SingleBytes::all);
  ASSERT_EQ(vocabulary.size(), 2000);
  RandomPatterns random({"a", "(?i:b)", "é", "€", ".", "[^a]", "\\d", "the", "\\p{L}", "\\W", "\\b", "$", "(?s:.)"},
                        {"*", "+", "?", "{2,3}"}, 14);
  for (int i = 0; i < 150; ++i) {
    const std::string pattern = random.make(3);
    PotentialPtr potential;
    if (!error_of([&] { potential = regex_potential(pattern); }).empty()) continue;
    SCOPED_TRACE(pattern);
    for (int j = 0; j < 4; ++j) expect_exact(*potential, random_text(generator, j), vocabulary);
  }
}

TEST(Mask, OfADeadStateIsEmpty) {
  const Vocabulary vocabulary({"a", "b", ""}, {token(2)});
  const PotentialPtr potential = regex_potential("a*");

  const auto mask = potential->allowed(state_after(*potential, "b"), vocabulary);

  EXPECT_EQ(mask->bits[0], 0U);
  EXPECT_FALSE(mask->end);
}

TEST(Mask, SurvivesAnAutomatonOfManyStatesThatTheVocabularyCannotComplete) {
  const Vocabulary vocabulary({"ab", "ba", "aaaa", ""}, {token(3)});
  const PotentialPtr possible = regex_potential("[ab]{30001,30002}");
  const PotentialPtr impossible = regex_potential("[ab]{30000}é");

  const auto some = possible->allowed(possible->start(), vocabulary);
  const auto none = impossible->allowed(impossible->start(), vocabulary);

  EXPECT_EQ(some->bits[0], 7U);
  EXPECT_EQ(none->bits[0], 0U);
}

TEST(Mask, OfATextFarBelowItsMaximumIsNotComputed) {
  const Vocabulary vocabulary({"a", "bb", ""}, {token(2)});
  const PotentialPtr potential = length_potential(2, 1000, LengthUnit::bytes);

  EXPECT_EQ(potential->allowed(state_after(*potential, "aaa"), vocabulary), nullptr);
  EXPECT_FALSE(potential->allowed(potential->start(), vocabulary)->end);
  EXPECT_EQ(potential->allowed(potential->start(), vocabulary),
            potential->allowed(state_after(*potential, "a"), vocabulary));
}

TEST(Mask, IsTheSameForEveryThread) {
  std::mt19937 generator(15);
  const std::vector<Vocabulary> vocabularies{random_vocabulary(generator, 700, SingleBytes::all),
                                             random_vocabulary(generator, 300, SingleBytes::none)};
  for (const auto& [name, make] : all_kinds()) {
    SCOPED_TRACE(name);
    const PotentialPtr shared = make();
    const PotentialPtr alone = make();
    std::vector<PotentialState> states;
    for (int i = 0; i < 20; ++i) states.push_back(state_after(*shared, random_text(generator, 4)));
    std::vector<std::vector<std::shared_ptr<const TokenMask>>> found(4);
    std::vector<std::thread> threads;
    for (auto& mine : found)
      threads.emplace_back([&] {
        for (int round = 0; round < 3; ++round)
          for (const auto& state : states)
            for (const auto& vocabulary : vocabularies) mine.push_back(shared->allowed(state, vocabulary));
      });
    for (auto& thread : threads) thread.join();
    for (const auto& mine : found) {
      for (std::size_t i = 0; i < mine.size(); ++i) {
        const auto& vocabulary = vocabularies[i % 2];
        expect_same(mine[i], alone->allowed(states[i / 2 % states.size()], vocabulary), vocabulary);
      }
    }
  }
}

TEST(MaskCache, DropsTheMasksThatWereNotUsedForLongest) {
  const Vocabulary vocabulary({"a", "b"}, {});
  MaskCache cache(3 * (sizeof(TokenMask) + sizeof(std::uint64_t)));
  int computed = 0;
  const auto get = [&](std::uint64_t state) {
    return cache.get(vocabulary, state, [&] {
      ++computed;
      TokenMask mask = empty_mask(vocabulary);
      mask.bits[0] = state;
      return mask;
    });
  };

  for (const std::uint64_t state : {1, 2, 3, 1, 4, 1, 3}) EXPECT_EQ(get(state)->bits[0], state);
  EXPECT_EQ(computed, 4);
  EXPECT_EQ(cache.size(), 3U);

  EXPECT_EQ(get(2)->bits[0], 2U);
  EXPECT_EQ(computed, 5);
}

TEST(MaskCache, KeepsOneMaskEvenBeyondItsLimit) {
  const Vocabulary vocabulary({"a"}, {});
  MaskCache cache(1);

  const MaskPtr mask = cache.get(vocabulary, 7, [&] { return empty_mask(vocabulary); });

  EXPECT_EQ(cache.get(vocabulary, 7, [&] { return empty_mask(vocabulary); }), mask);
  EXPECT_EQ(cache.size(), 1U);
}

}  // namespace
}  // namespace shoal::test
