// Runs a libFuzzer target where there is no libFuzzer: each file of a corpus, then seeded mutations for a while.
//   fuzz_NAME CORPUS_FOLDER [SECONDS [SEED]]
// An input that crashes the target is left in the file fuzz-crash in the working directory.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::string current;  // the input that the target is working on

void keep_input(int signal) {
  const int file = open("fuzz-crash", O_WRONLY | O_CREAT | O_TRUNC, 0644);
  [[maybe_unused]] const auto written = write(file, current.data(), current.size());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run() { LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(current.data()), current.size()); }

std::vector<std::string> read_corpus(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> corpus;
  for (const auto& file : files) {
    std::ifstream in(file, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
  }
  return corpus;
}

class Mutator {
 public:
  Mutator(const std::vector<std::string>& corpus, std::uint64_t seed) : corpus_(corpus), random_(seed) {}

  std::string next() {
    std::string text = corpus_[below(corpus_.size())];
    for (std::size_t i = below(6) + 1; i > 0; --i) mutate(&text);
    return text;
  }

 private:
  std::size_t below(std::size_t end) { return end == 0 ? 0 : random_() % end; }

  std::string piece_of(const std::string& text) {
    return text.substr(below(text.size() + 1), below(below(4) == 0 ? 100 : 8) + 1);
  }

  void mutate(std::string* text) {
    const std::size_t at = below(text->size() + 1);
    switch (below(5)) {
      case 0:
        if (at < text->size()) (*text)[at] = static_cast<char>(random_());
        return;
      case 1:
        text->erase(at, below(8) + 1);
        return;
      case 2:
        text->insert(at, piece_of(*text));
        return;
      case 3:
        text->insert(at, piece_of(corpus_[below(corpus_.size())]));
        return;
      default:
        text->replace(at, std::min(below(8), text->size() - at), piece_of(corpus_[below(corpus_.size())]));
    }
  }

  const std::vector<std::string>& corpus_;
  std::mt19937_64 random_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("usage: fuzz_NAME CORPUS_FOLDER [SECONDS [SEED]]\n", stderr), 2;
  const double seconds = argc > 2 ? std::stod(argv[2]) : 2.0;
  const std::uint64_t seed = argc > 3 ? std::stoull(argv[3]) : 1;
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGBUS}) std::signal(signal, keep_input);
  const std::vector<std::string> corpus = read_corpus(argv[1]);
  for (const std::string& entry : corpus) {
    current = entry;
    run();
  }
  Mutator mutator(corpus, seed);
  std::size_t runs = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  for (; std::chrono::steady_clock::now() < end; ++runs) {
    current = mutator.next();
    run();
  }
  std::printf("%zu corpus entries and %zu mutations passed\n", corpus.size(), runs);
}
