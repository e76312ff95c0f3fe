// The kernels as the host starts them: their bodies (kernels/) on a grid that suits them. Asynchronous, in a stream.
#pragma once

#include <cuda_runtime_api.h>

#include "lm/cuda/kernels/attention.hpp"
#include "lm/cuda/kernels/place.hpp"
#include "lm/cuda/kernels/rows.hpp"
#include "lm/cuda/kernels/sample.hpp"

namespace shoal::lm::cuda {

void launch(const EmbedTask& task, int rows, cudaStream_t stream);
void launch(const NormTask& task, int rows, cudaStream_t stream);
void launch(const RotationTask& task, int rows, cudaStream_t stream);
void launch(const PlaceTask& task, int rows, cudaStream_t stream);
/// @param blocks of threads, which deal out the items
void launch(const AttentionTask& task, int blocks, cudaStream_t stream);
void launch(const MergeTask& task, int rows, cudaStream_t stream);
void launch(const ActivationTask& task, int rows, cudaStream_t stream);
void launch(const QuantizeTask& task, int rows, cudaStream_t stream);
void launch(const ScaleTask& task, int rows, cudaStream_t stream);
void launch(const CopyTask& task, int copies, cudaStream_t stream);
void launch(const SampleTask& task, int rows, cudaStream_t stream);

/// Rows against the first few, which they ought to repeat bit by bit.
struct CompareTask {
  const std::uint32_t* rows;      ///< [rows, n]
  const std::uint32_t* expected;  ///< [period, n]
  int n;
  int period;
  int* differences;  ///< counted up
};
void launch(const CompareTask& task, int rows, cudaStream_t stream);

/// Once per process and GPU, before the first launch: loads them, and allows shared memory beyond the default.
void prepare_kernels(int head_dim, int vocabulary);
/// Attention's blocks of threads that a multiprocessor runs at the same time; after prepare_kernels().
int attention_blocks_at_once(int head_dim);

}  // namespace shoal::lm::cuda
