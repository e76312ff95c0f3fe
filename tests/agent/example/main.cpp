// The guide's program, with the shipped model in place of a checkpoint that would have to be downloaded.
#include <iostream>
#include <shoal/agent.hpp>

int main() {
  auto model = shoal::create_model({.model_type = "huggingface",
                                    .model_size = "minnow",
                                    .use_cache = true,
                                    .use_monte_carlo = true,
                                    .use_parallel_monte_carlo = true,
                                    .monte_carlo_workers = 2,
                                    .monte_carlo_particles = 20,
                                    .use_gpu_monte_carlo = true,
                                    .monte_carlo_timeout = 30});
  std::vector<shoal::PotentialPtr> potentials = {
      shoal::regex_potential(R"(.*[.!?]$)", "sentence_ending_potential"),
      shoal::style_potential(shoal::conversational_style(), "conversational_style_potential")};
  auto agent = shoal::create_agent({.agent_type = "conversational",
                                    .name = "Conversational Agent",
                                    .description = "A conversational AI assistant",
                                    .model = model,
                                    .potentials = potentials});
  std::cout << agent.process("Tell me about parallel processing.").response << '\n';
}
