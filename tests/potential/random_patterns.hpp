// Random regular expressions and texts, small enough for exhaustive judges.
#pragma once

#include <random>
#include <string>
#include <vector>

namespace shoal {

using Words = std::vector<std::string>;

template <class Generator>
const std::string& pick(const Words& words, Generator& generator) {
  return words[generator() % words.size()];
}

class RandomPatterns {
 public:
  /// @param atoms what stands at the leaves  @param repeats what may follow an atom
  RandomPatterns(Words atoms, Words repeats, unsigned seed)
      : atoms_(std::move(atoms)), repeats_(std::move(repeats)), generator_(seed) {}

  std::string make(int depth) {
    switch (depth <= 0 ? 0 : generator_() % 6) {
      case 1:
        return make(depth - 1) + "|" + make(depth - 1);
      case 2:
      case 3:
        return make(depth - 1) + make(depth - 1);
      case 4:
        return "(?:" + make(depth - 1) + ")" + pick(repeats_, generator_);
      case 5:
        return "(" + make(depth - 1) + "|" + make(depth - 1) + ")" + make(depth - 2);
      default:
        return pick(atoms_, generator_) + (generator_() % 3 == 0 ? pick(repeats_, generator_) : "");
    }
  }

  std::string text(const Words& letters, std::size_t longest) {
    std::string out;
    for (std::size_t n = generator_() % (longest + 1); n > 0; --n) out += pick(letters, generator_);
    return out;
  }

  std::mt19937& generator() { return generator_; }

 private:
  Words atoms_;
  Words repeats_;
  std::mt19937 generator_;
};

}  // namespace shoal
