// Tests that need a GPU: without one they are skipped, by name and reason (ctest takes exit code 77 for it).
#include <gtest/gtest.h>

#include <iostream>

#include "lm/cuda/gpus.hpp"
#include "lm/cuda/transformer.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const auto& gpus = shoal::lm::find_gpus();
  const std::string problem = gpus.problem.empty() ? shoal::lm::cuda::problem_of(0) : gpus.problem;
  if (!problem.empty()) {
    std::cout << "skipped: no GPU (" << problem << ")\n";
    return 77;
  }
  std::cout << "on " << gpus.all.front().name << '\n';
  return RUN_ALL_TESTS();
}
