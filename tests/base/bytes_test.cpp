#include "base/bytes.hpp"

#include <gtest/gtest.h>

namespace shoal {
namespace {

std::string sample() {
  ByteWriter out;
  out.put<std::uint32_t>(7);
  out.put_string("text");
  out.put_span<double>(std::vector<double>{1.5, -2.5});
  out.put_string("");
  out.put_span<std::uint8_t>({});
  return out.take();
}

/// Reads what sample() wrote.
void read(std::string_view data) {
  ByteReader in(data);
  EXPECT_EQ(in.get<std::uint32_t>(), 7U);
  EXPECT_EQ(in.get_string(), "text");
  EXPECT_EQ(in.get_vector<double>(), (std::vector<double>{1.5, -2.5}));
  EXPECT_EQ(in.get_string(), "");
  EXPECT_TRUE(in.get_vector<std::uint8_t>().empty());
  EXPECT_TRUE(in.empty());
}

TEST(Bytes, ReadsBackWhatWasWritten) { read(sample()); }

TEST(Bytes, EveryTruncationIsOutOfRange) {
  const std::string data = sample();
  for (std::size_t size = 0; size < data.size(); ++size)
    EXPECT_THROW(read(std::string_view(data).substr(0, size)), std::out_of_range) << size;
}

TEST(Bytes, ImpossibleCountIsOutOfRange) {
  ByteWriter out;
  out.put<std::uint64_t>(std::uint64_t{1} << 61U);  // times 8 wraps to 0
  const std::string data = out.take();
  EXPECT_THROW((void)ByteReader(data).get_vector<double>(), std::out_of_range);
  EXPECT_THROW((void)ByteReader(data).get_string(), std::out_of_range);
}

}  // namespace
}  // namespace shoal
