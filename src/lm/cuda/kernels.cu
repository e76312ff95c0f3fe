// The kernels' bodies on real blocks of threads.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "lm/cuda/launches.hpp"
#include "lm/cuda/memory.hpp"

namespace shoal::lm::cuda {
namespace {

/// What tests/lm/cuda/emulated_block.hpp emulates.
class CudaBlock {
 public:
  /// Every kernel begins with it: the next one may come to the GPU, and nothing is read or written before the one
  /// before is done, which has waited in the same way. So it does not matter which of them has been started early.
  __device__ CudaBlock() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    cudaTriggerProgrammaticLaunchCompletion();
    cudaGridDependencySynchronize();
#endif
  }
  __device__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ int threads() const { return static_cast<int>(blockDim.x); }
  __device__ int index() const { return static_cast<int>(blockIdx.x); }
  __device__ int blocks() const { return static_cast<int>(gridDim.x); }
  __device__ void sync() { __syncthreads(); }
  template <class T>
  __device__ T* shared(int) {
    extern __shared__ Sixteen memory[];
    return reinterpret_cast<T*>(memory);
  }
  template <class T>
  __device__ T shuffle_xor(T value, int mask) {
    return __shfl_xor_sync(0xFFFFFFFFU, value, mask);
  }
  template <class T>
  __device__ T shuffle(T value, int lane) {
    return __shfl_sync(0xFFFFFFFFU, value, lane);
  }
  template <class T>
  __device__ T shuffle_up(T value, int distance) {
    return __shfl_up_sync(0xFFFFFFFFU, value, distance);
  }
  __device__ std::uint32_t ballot(bool value) { return __ballot_sync(0xFFFFFFFFU, value); }
  __device__ void mma(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
};

constexpr int row_threads = 256;
constexpr int head_threads = 512;  // a warp per head
constexpr int attention_threads = attention_warps * warp_size;

__global__ void __launch_bounds__(row_threads) embed_kernel(EmbedTask task) {
  CudaBlock block;
  embed(block, task);
}
__global__ void __launch_bounds__(row_threads) norm_kernel(NormTask task) {
  CudaBlock block;
  normalize(block, task);
}
__global__ void __launch_bounds__(row_threads) rotation_kernel(RotationTask task) {
  CudaBlock block;
  find_rotations(block, task);
}
__global__ void __launch_bounds__(head_threads) place_kernel(PlaceTask task) {
  CudaBlock block;
  place_token(block, task);
}
template <int chunks>
__global__ void __launch_bounds__(attention_threads) attention_kernel(AttentionTask task) {
  CudaBlock block;
  attend<chunks>(block, task);
}
__global__ void __launch_bounds__(head_threads) merge_kernel(MergeTask task) {
  CudaBlock block;
  merge_windows(block, task);
}
__global__ void __launch_bounds__(row_threads) activation_kernel(ActivationTask task) {
  CudaBlock block;
  activate(block, task);
}
__global__ void __launch_bounds__(row_threads) quantize_kernel(QuantizeTask task) {
  CudaBlock block;
  quantize(block, task);
}
__global__ void __launch_bounds__(row_threads) scale_kernel(ScaleTask task) {
  CudaBlock block;
  scale_sums(block, task);
}
__global__ void __launch_bounds__(row_threads) copy_kernel(CopyTask task) {
  CudaBlock block;
  copy_block(block, task);
}
__global__ void __launch_bounds__(sampling_threads) sample_kernel(SampleTask task) {
  CudaBlock block;
  sample(block, task);
}
__global__ void __launch_bounds__(row_threads) compare_kernel(CompareTask task) {
  CudaBlock block;  // waits
  const std::int64_t row = block.index();
  int differences = 0;
  for (int i = block.thread(); i < task.n; i += row_threads)
    differences += task.rows[row * task.n + i] != task.expected[row % task.period * task.n + i] ? 1 : 0;
  if (differences > 0) atomicAdd(task.differences, differences);
}

/// When a kernel may come to the GPU: when all before it is done, or, if the one before it is a kernel, while that ends
/// (programmatic dependent launch).
enum class Start { in_turn, early };

/// Hopper and newer can, in recordings since CUDA 12.3. SHOAL_GPU_EARLY=off is for measuring what it gains.
bool find_out_whether_early() {
  int gpu = 0, major = 0, driver = 0;
  check(cudaGetDevice(&gpu), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, gpu), "cudaDeviceGetAttribute");
  check(cudaDriverGetVersion(&driver), "cudaDriverGetVersion");
  const char* wanted = std::getenv("SHOAL_GPU_EARLY");
  return major >= 9 && driver >= 12030 && (wanted == nullptr || std::string_view(wanted) != "off");
}

/// Of the process's GPU.
bool can_start_early() {
  static const bool early = find_out_whether_early();
  return early;
}

/// Starts a kernel of a task on @p blocks blocks; none if there is nothing to do.
template <class Task>
void start(Start when, void (*kernel)(Task), const Task& task, int blocks, int threads, int shared_bytes,
           cudaStream_t stream) {
  if (blocks == 0) return;
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(shared_bytes);
  config.stream = stream;
  config.attrs = &early;
  config.numAttrs = when == Start::early && can_start_early() ? 1 : 0;
  check(cudaLaunchKernelEx(&config, kernel, task), "kernel launch");
}

/// Room for a number per warp.
constexpr int reduction_bytes = head_threads / warp_size * static_cast<int>(sizeof(float));

int threads_for(int heads) { return std::min(head_threads, heads * warp_size); }

using AttentionKernel = void (*)(AttentionTask);
AttentionKernel attention_kernel_for(int head_dim) {
  if (head_dim <= 64) return attention_kernel<4>;
  return head_dim <= 128 ? attention_kernel<8> : attention_kernel<16>;
}

int attention_bytes(int head_dim) { return attention_scratch_floats(head_dim) * static_cast<int>(sizeof(float)); }

}  // namespace

void launch(const EmbedTask& task, int rows, cudaStream_t stream) {
  start(Start::in_turn, embed_kernel, task, rows, row_threads, 0, stream);
}
void launch(const NormTask& task, int rows, cudaStream_t stream) {
  start(Start::early, norm_kernel, task, rows, row_threads, reduction_bytes, stream);
}
void launch(const RotationTask& task, int rows, cudaStream_t stream) {
  start(Start::early, rotation_kernel, task, rows, warp_size, 0, stream);
}
void launch(const PlaceTask& task, int rows, cudaStream_t stream) {
  start(Start::early, place_kernel, task, rows, threads_for(task.heads + task.kv_heads), 0, stream);
}
void launch(const AttentionTask& task, int blocks, cudaStream_t stream) {
  start(Start::early, attention_kernel_for(task.head_dim), task, blocks, attention_threads,
        attention_bytes(task.head_dim), stream);
}
void launch(const MergeTask& task, int rows, cudaStream_t stream) {
  start(Start::early, merge_kernel, task, rows, threads_for(task.heads), reduction_bytes, stream);
}
void launch(const ActivationTask& task, int rows, cudaStream_t stream) {
  start(Start::early, activation_kernel, task, rows, row_threads, reduction_bytes, stream);
}
void launch(const QuantizeTask& task, int rows, cudaStream_t stream) {
  start(Start::in_turn, quantize_kernel, task, rows, row_threads, reduction_bytes, stream);
}
void launch(const ScaleTask& task, int rows, cudaStream_t stream) {
  start(Start::early, scale_kernel, task, rows, row_threads, 0, stream);
}
void launch(const CopyTask& task, int copies, cudaStream_t stream) {
  start(Start::in_turn, copy_kernel, task, copies, row_threads, 0, stream);
}
void launch(const SampleTask& task, int rows, cudaStream_t stream) {
  start(Start::in_turn, sample_kernel, task, rows, sampling_threads,
        sample_scratch_bytes(task.vocabulary, sampling_threads, truncates(task)), stream);
}
void launch(const CompareTask& task, int rows, cudaStream_t stream) {
  start(Start::in_turn, compare_kernel, task, rows, row_threads, 0, stream);
}

void prepare_kernels(int head_dim, int vocabulary) {
  // Never less than the default, nor less than another model of this process was given.
  const auto allow = [](const void* kernel, int bytes) {
    cudaFuncAttributes attributes{};
    check(cudaFuncGetAttributes(&attributes, kernel), "cudaFuncGetAttributes");
    if (bytes <= attributes.maxDynamicSharedSizeBytes) return;
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), "cudaFuncSetAttribute");
  };
  allow(reinterpret_cast<const void*>(attention_kernel_for(head_dim)), attention_bytes(head_dim));
  allow(reinterpret_cast<const void*>(sample_kernel), sample_scratch_bytes(vocabulary, sampling_threads, true));
  // CUDA loads a kernel when it is first used, and that must not be while a graph is recorded.
  const auto load = [](auto*... kernels) {
    cudaFuncAttributes ignored{};
    (check(cudaFuncGetAttributes(&ignored, reinterpret_cast<const void*>(kernels)), "cudaFuncGetAttributes"), ...);
  };
  load(embed_kernel, norm_kernel, rotation_kernel, place_kernel, attention_kernel_for(head_dim), merge_kernel,
       activation_kernel, quantize_kernel, scale_kernel, copy_kernel, sample_kernel, compare_kernel);
}

int attention_blocks_at_once(int head_dim) {
  int blocks = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, attention_kernel_for(head_dim), attention_threads,
                                                      static_cast<std::size_t>(attention_bytes(head_dim))),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return std::max(1, blocks);
}

}  // namespace shoal::lm::cuda
