#include "cluster/node_file.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <string>

#include "cluster/links.hpp"
#include "cluster/world.hpp"
#include "lm/weight_memory.hpp"

namespace shoal::cluster {
namespace {

World& world() { return *World::shared(); }

std::uint64_t sum_over_ranks(std::uint64_t mine) {
  MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_UINT64_T, MPI_SUM, world().links().agreements.get());
  return mine;
}

/// Bytes of this process's mappings of shared files in memory, by a line of /proc/self/smaps: Rss, or Pss, which counts
/// a page that n processes map as an n-th.
std::uint64_t mapped(const std::string& measure) {
  std::ifstream in("/proc/self/smaps");
  bool ours = false;
  std::uint64_t kibibytes = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.find(" /memfd:") != std::string::npos)
      ours = true;
    else if (line.find('-') < line.find(' '))
      ours = false;
    else if (ours && line.starts_with(measure + ":"))
      kibibytes += std::stoull(line.substr(measure.size() + 1));
  }
  return kibibytes * 1024;
}

TEST(NodeFile, IsForSeveralRanksOnly) {
  const NodeFile file(&world());

  EXPECT_EQ(file.share().processes, world().ranks_on_node());
  EXPECT_EQ(file.share().file >= 0, world().ranks_on_node() > 1);
}

TEST(NodeFile, HoldsEachPieceOfTheWeightsOnce) {
  constexpr std::size_t piece_bytes = std::size_t{3} << 20U;
  constexpr int count = 9;
  const NodeFile file(&world());
  lm::WeightMemory memory(file.share());
  std::vector<lm::PackedBytes> pieces;
  std::uint64_t filled = 0;
  for (int i = 0; i < count; ++i) {
    pieces.push_back(memory.take(piece_bytes));
    if (!pieces.back().ours) continue;
    ++filled;
    std::fill_n(pieces.back().data.get(), piece_bytes, static_cast<std::byte>(i + 1));
  }
  EXPECT_EQ(sum_over_ranks(filled), count);

  for (int i = 0; i < count; ++i)
    EXPECT_TRUE(std::all_of(pieces[static_cast<std::size_t>(i)].data.get(),
                            pieces[static_cast<std::size_t>(i)].data.get() + piece_bytes,
                            [&](std::byte b) { return b == static_cast<std::byte>(i + 1); }));
  (void)sum_over_ranks(0);  // all have read
  if (world().size() == 1) return;
  EXPECT_EQ(mapped("Rss"), count * piece_bytes);
  const auto physical = static_cast<double>(sum_over_ranks(mapped("Pss")));
  EXPECT_NEAR(physical / (count * piece_bytes), 1.0, 0.01);
  (void)sum_over_ranks(0);  // before anyone unmaps
}

TEST(NodeFile, GivesEveryRankAnEqualPartToFill) {
  const NodeFile file(&world());
  lm::WeightMemory memory(file.share());
  std::uint64_t mine = 0;
  for (int i = 0; i < 60; ++i)
    if (memory.take(4096).ours) ++mine;

  EXPECT_EQ(mine, 60 / static_cast<std::uint64_t>(world().ranks_on_node()));
}

TEST(NodeFile, OutlivesItsDescriptor) {
  lm::PackedBytes piece;
  {
    const NodeFile file(&world());
    piece = lm::WeightMemory(file.share()).take(4096);
  }
  if (piece.ours) piece.data[100] = std::byte{7};
  (void)sum_over_ranks(0);

  EXPECT_EQ(piece.data[100], std::byte{7});
}

}  // namespace
}  // namespace shoal::cluster
