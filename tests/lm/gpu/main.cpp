// Tests that need a GPU: without one they are skipped, by name and reason (ctest takes exit code 77 for it).
#include <gtest/gtest.h>

#include <iostream>

#include "lm/cuda/gpus.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto& gpus = shoal::lm::find_gpus();
  if (!gpus.problem.empty()) {
    std::cout << "skipped: no GPU (" << gpus.problem << ")\n";
    return 77;
  }
  std::cout << "on " << gpus.all.front().name << '\n';
  return RUN_ALL_TESTS();
}
