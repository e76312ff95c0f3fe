#include "lm/token_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace shoal::lm {
namespace {

std::vector<TokenId> tokens(std::initializer_list<int> ids) {
  std::vector<TokenId> all;
  for (const int id : ids) all.emplace_back(id);
  return all;
}

std::uint64_t hash_badly(std::uint64_t hash, TokenId token) {
  return (hash + static_cast<std::uint64_t>(token.value())) % 3;
}

/// Runs every test with good hashes, and with hashes that nearly all collide.
template <class Tree>
class TokenTreeTest : public testing::Test {};
using Trees = testing::Types<TokenTree<int>, TokenTree<int, hash_badly>>;
TYPED_TEST_SUITE(TokenTreeTest, Trees);

TYPED_TEST(TokenTreeTest, EqualSequencesAreOneNode) {
  TypeParam tree;
  const ContextId root = tree.insert(tokens({1, 2}), 7);

  const ContextId a = tree.extend(root, TokenId{3}, [](const auto& from) { return from.payload + 1; });
  const ContextId b = tree.extend(root, TokenId{3}, [](const auto&) { return -1; });

  EXPECT_EQ(a, b);
  EXPECT_EQ(tree.at(a).payload, 8);
  EXPECT_EQ(tree.at(a).tokens, tokens({1, 2, 3}));
  EXPECT_EQ(tree.size(), 2U);
}

TYPED_TEST(TokenTreeTest, ThePayloadComesBackWithTheLastReferenceOnly) {
  TypeParam tree;
  const ContextId node = tree.insert(tokens({1}), 7);
  tree.retain(node);

  EXPECT_EQ(tree.release(node), std::nullopt);
  EXPECT_EQ(tree.release(node), 7);
  EXPECT_EQ(tree.size(), 0U);
  EXPECT_EQ(tree.find(tokens({1})), std::nullopt);
}

TYPED_TEST(TokenTreeTest, ASequenceReachedOnTwoWaysIsOneNode) {
  TypeParam tree;
  const ContextId root = tree.insert(tokens({5}), 0);
  const ContextId whole = tree.insert(tokens({5, 6}), 1);

  EXPECT_EQ(tree.extend(root, TokenId{6}, [](const auto&) { return 2; }), whole);
}

TYPED_TEST(TokenTreeTest, BehavesLikeAMapOfCountedSequences) {
  std::mt19937_64 generator(1);
  TypeParam tree;
  struct Known {
    std::vector<TokenId> tokens;
    int references = 1;
    int payload = 0;
  };
  std::map<std::uint32_t, Known> live;
  const ContextId root = tree.insert(tokens({0}), 0);
  live[root.value()] = {tokens({0})};
  const auto any = [&] { return std::next(live.begin(), static_cast<int>(generator() % live.size())); };

  for (int step = 0; step < 20000; ++step) {
    auto chosen = any();
    const ContextId id{chosen->first};
    const std::uint64_t kind = live.size() < 60 ? generator() % 4 : 3;
    if (kind == 0) {
      tree.retain(id);
      ++chosen->second.references;
    } else if (kind <= 2 && chosen->second.tokens.size() < 6) {
      const TokenId token{static_cast<int>(generator() % 3)};
      auto expected = chosen->second.tokens;
      expected.push_back(token);
      const auto twin =
          std::find_if(live.begin(), live.end(), [&](auto& one) { return one.second.tokens == expected; });
      const ContextId child = tree.extend(id, token, [&](const auto&) { return step; });
      if (twin != live.end()) {
        ASSERT_EQ(child.value(), twin->first);
        ++twin->second.references;
      } else {
        ASSERT_FALSE(live.contains(child.value()));
        live[child.value()] = {expected, 1, step};
      }
    } else if (live.size() > 1 || chosen->second.references > 1) {
      const auto payload = tree.release(id);
      const bool last = chosen->second.references == 1;
      ASSERT_EQ(payload, last ? std::optional(chosen->second.payload) : std::nullopt);
      if (--chosen->second.references == 0) live.erase(chosen);
    }
    ASSERT_EQ(tree.size(), live.size());
  }
  EXPECT_GT(live.size(), 20U);
  for (const auto& [id, known] : live) {
    EXPECT_EQ(tree.at(ContextId{id}).tokens, known.tokens);
    EXPECT_EQ(tree.find(known.tokens), ContextId{id});
  }
}

}  // namespace
}  // namespace shoal::lm
