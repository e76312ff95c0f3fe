#include "shoal/vocabulary.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace shoal {
namespace {

void collect(const VocabularyTrie& trie, std::uint32_t node, const std::string& prefix,
             std::map<std::int32_t, std::string>* words) {
  const auto& n = trie.nodes[node];
  for (std::uint32_t t = n.tokens_begin; t < n.tokens_end; ++t) (*words)[trie.tokens[t].value()] = prefix;
  for (std::uint32_t child = node + 1; child < n.subtree_end; child = trie.nodes[child].subtree_end)
    collect(trie, child, prefix + static_cast<char>(trie.nodes[child].byte), words);
}

TEST(Vocabulary, TrieSpellsEveryTokenOnce) {
  std::mt19937 generator(3);
  std::vector<std::string> bytes(2000);
  for (auto& word : bytes) {
    word.resize(generator() % 6);
    for (char& c : word) c = static_cast<char>("ab\xff"[generator() % 3]);
  }
  bytes[17] = "<end>";
  const Vocabulary vocabulary(bytes, {TokenId{17}});

  std::map<std::int32_t, std::string> words;
  collect(vocabulary.trie(), 0, "", &words);

  for (std::int32_t i = 0; i < vocabulary.size(); ++i) {
    const bool text = !bytes[i].empty() && i != 17;
    EXPECT_EQ(vocabulary.text_tokens().test(TokenId{i}), text);
    EXPECT_EQ(words.count(i), text ? 1U : 0U);
    if (text) {
      EXPECT_EQ(words[i], bytes[i]);
    }
  }
  EXPECT_EQ(vocabulary.bytes(TokenId{17}), "");
}

TEST(Vocabulary, ChildrenOfANodeHaveDistinctBytes) {
  const Vocabulary vocabulary({"a", "ab", "abc", "b", "ab"}, {});
  const auto& trie = vocabulary.trie();
  ASSERT_EQ(trie.nodes.size(), 5U);
  EXPECT_EQ(trie.tokens.size(), 5U);
  EXPECT_EQ(trie.nodes[2].tokens_end - trie.nodes[2].tokens_begin, 2U);
  EXPECT_EQ(trie.nodes[1].subtree_end, 4U);
}

TEST(Vocabulary, FingerprintTellsVocabulariesApart) {
  EXPECT_NE(Vocabulary({"a", "b"}, {}).fingerprint(), Vocabulary({"ab", ""}, {}).fingerprint());
  EXPECT_EQ(Vocabulary({"a", "b"}, {}).fingerprint(), Vocabulary({"a", "b"}, {}).fingerprint());
}

}  // namespace
}  // namespace shoal
