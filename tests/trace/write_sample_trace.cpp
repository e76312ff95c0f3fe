// Writes a sample trace for read_trace.py: PATH BATCHES; "written" when the batches are there, the result once a line
// comes in.
#include <cstdlib>
#include <iostream>
#include <string>

#include "trace/sample.hpp"
#include "trace/trace_writer.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const auto info = shoal::trace::testing::sample_info();
  shoal::trace::TraceWriter writer(argv[1], info, &shoal::trace::testing::sample_vocabulary());
  const int batches = std::atoi(argv[2]);
  for (int b = 0; b < batches; ++b)
    writer.on_batch(shoal::trace::testing::sample_batch(info, 1, static_cast<std::uint32_t>(b)));
  std::cout << "written" << std::endl;
  std::string line;
  std::getline(std::cin, line);
  writer.finish(shoal::trace::testing::sample_result(info, 1));
}
