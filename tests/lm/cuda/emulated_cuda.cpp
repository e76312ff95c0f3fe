// The functions of the CUDA runtime and of cuBLASLt that the plugin calls, on the host: memory is memory, kernels run
// on emulated blocks of threads, products are sums in float. So the plugin's own code, down to its recorded graphs,
// computes whole models where there is no GPU. Streams are as late as CUDA allows: nothing that is put into one is done
// before somebody waits for it, so what is read too early, or written over too early, is wrong here every time. What
// CUDA or cuBLASLt forbid ends the process with a line that says what it was.
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "lm/cuda/emulated_block.hpp"
#include "lm/cuda/launches.hpp"
#include "lm/cuda/memory.hpp"

namespace shoal::lm::cuda {

/// Of the emulated NCCL, where there is one.
[[gnu::weak]] bool exchange_under_way();

using Work = std::vector<std::function<void()>>;

}  // namespace shoal::lm::cuda

/// What the opaque handles point to.
struct CUstream_st {
  shoal::lm::cuda::Work work;
  int device = 0;
};
struct CUgraph_st {
  shoal::lm::cuda::Work work;
};
struct CUgraphExec_st {
  std::shared_ptr<const shoal::lm::cuda::Work> work;
};

namespace shoal::lm::cuda {

/// Does what is in a stream.
void run(cudaStream_t stream) {
  for (const auto& work : std::exchange(stream->work, {})) work();
}

namespace {

std::set<cudaStream_t>& streams() {
  static std::set<cudaStream_t> all;
  return all;
}
void run_all() {
  for (const cudaStream_t stream : streams()) run(stream);
}

/// Begin and end of memory that copies go on reading or writing after their calls; other memory of the host is copied
/// at once, or waited for.
std::map<const std::byte*, const std::byte*>& pinned() {
  static std::map<const std::byte*, const std::byte*> all;
  return all;
}
bool is_pinned(const void* at) {
  const auto* address = static_cast<const std::byte*>(at);
  auto after = pinned().upper_bound(address);
  return after != pinned().begin() && address < (--after)->second;
}

/// Bytes by address.
std::map<const void*, std::size_t>& allocated() {
  static std::map<const void*, std::size_t> all;
  return all;
}

[[noreturn]] void refuse(const char* what) {
  std::cerr << "emulated CUDA: " << what << std::endl;
  std::abort();
}

/// Of each thread, as CUDA has it: a new one is on GPU 0.
thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

/// What this thread is recording, if it is.
struct Recording {
  cudaStream_t stream = nullptr;
  Work work;
};
thread_local Recording recording;

void not_while_recording(const char* call) {
  if (recording.stream != nullptr) refuse((std::string(call) + " while a graph is recorded").c_str());
}

void put_into(cudaStream_t stream, std::function<void()> work) {
  if (stream == nullptr) refuse("work for the default stream");
  if (stream->device != current_device) refuse("work for a stream of another GPU than the thread's current one");
  (recording.stream == stream ? recording.work : stream->work).push_back(std::move(work));
}

template <class Body>
void put_kernel(cudaStream_t stream, int blocks, int threads, Body body) {
  if (blocks == 0) return;
  put_into(stream,
           [=] { emulate(blocks, threads, ThreadOrder::shuffled, [&](EmulatedBlock& block) { body(block); }); });
  check(cudaGetLastError(), "kernel launch");
}

constexpr int row_threads = 64;

/// A kernel's blocks run in any order: none may write what another one reads or writes.
void expect_any_order(const CopyTask& task, int copies) {
  const std::set<const std::byte*> read(task.from, task.from + copies), written(task.to, task.to + copies);
  const bool clash = std::any_of(written.begin(), written.end(), [&](const auto* at) { return read.contains(at); });
  if (clash || written.size() != static_cast<std::size_t>(copies)) refuse("copies that depend on each other");
}

}  // namespace

void launch(const EmbedTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, row_threads, [=](EmulatedBlock& block) { embed(block, task); });
}
void launch(const NormTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, row_threads, [=](EmulatedBlock& block) { normalize(block, task); });
}
void launch(const RotationTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, 32, [=](EmulatedBlock& block) { find_rotations(block, task); });
}
void launch(const PlaceTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, row_threads, [=](EmulatedBlock& block) { place_token(block, task); });
}
void launch(const AttentionTask& task, int blocks, cudaStream_t stream) {
  put_kernel(stream, blocks, 32 * attention_warps, [=](EmulatedBlock& block) { attend<16>(block, task); });
}
void launch(const MergeTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, row_threads, [=](EmulatedBlock& block) { merge_windows(block, task); });
}
void launch(const ActivationTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, row_threads, [=](EmulatedBlock& block) { activate(block, task); });
}
void launch(const QuantizeTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, row_threads, [=](EmulatedBlock& block) { quantize(block, task); });
}
void launch(const ScaleTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, row_threads, [=](EmulatedBlock& block) { scale_sums(block, task); });
}
void launch(const CopyTask& task, int copies, cudaStream_t stream) {
  put_into(stream, [=] { expect_any_order(task, copies); });
  put_kernel(stream, copies, row_threads, [=](EmulatedBlock& block) { copy_block(block, task); });
}
void launch(const SampleTask& task, int rows, cudaStream_t stream) {
  put_kernel(stream, rows, 64, [=](EmulatedBlock& block) { sample(block, task); });
}
void launch(const CompareTask& task, int rows, cudaStream_t stream) {
  put_into(stream, [=] {
    for (int r = 0; r < rows; ++r)
      for (int i = 0; i < task.n; ++i)
        *task.differences += task.rows[r * task.n + i] != task.expected[r % task.period * task.n + i] ? 1 : 0;
  });
}
void prepare_kernels(int, int) {}
int attention_blocks_at_once(int) { return 8; }

}  // namespace shoal::lm::cuda

using shoal::lm::Bf16;
using namespace shoal::lm::cuda;

extern "C" {

const char* cudaGetErrorString(cudaError_t) { return "emulated"; }
cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaSetDevice(int device) {
  current_device = device;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  const char* given = std::getenv("SHOAL_FAKE_DRIVER_VERSION");
  *version = given == nullptr ? CUDART_VERSION : std::atoi(given);
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  std::strcpy(properties->name, "emulated");
  properties->multiProcessorCount = 1;
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = std::size_t{64} << 30U;
  *free = *total;
  for (const auto& [at, bytes] : allocated()) *free -= bytes;
  return cudaSuccess;
}
/// Filled with what a GPU might have left there: NaNs.
cudaError_t cudaMalloc(void** at, std::size_t bytes) {
  not_while_recording("cudaMalloc");
  *at = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(*at, 0xFF, std::min<std::size_t>(bytes, std::size_t{1} << 22U));
  allocated()[*at] = bytes;
  return cudaSuccess;
}
/// Waits for the whole GPU.
cudaError_t cudaFree(void* at) {
  not_while_recording("cudaFree");
  run_all();
  allocated().erase(at);
  std::free(at);
  return cudaSuccess;
}
cudaError_t cudaMallocHost(void** at, std::size_t bytes) {
  (void)cudaMalloc(at, bytes);
  const auto* begin = static_cast<const std::byte*>(*at);
  pinned()[begin] = begin + bytes;
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* at) {
  pinned().erase(static_cast<const std::byte*>(at));
  return cudaFree(at);
}
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (!is_pinned(from) && !is_pinned(to) && kind != cudaMemcpyDeviceToDevice)
    not_while_recording("a copy of memory that is not pinned");
  if (kind == cudaMemcpyHostToDevice && !is_pinned(from)) {
    const auto* first = static_cast<const std::byte*>(from);
    put_into(stream,
             [=, staged = std::vector<std::byte>(first, first + bytes)] { std::memcpy(to, staged.data(), bytes); });
    return cudaSuccess;
  }
  put_into(stream, [=] { std::memmove(to, from, bytes); });
  if (kind == cudaMemcpyDeviceToHost && !is_pinned(to)) run(stream);
  return cudaSuccess;
}
cudaError_t cudaMemsetAsync(void* at, int value, std::size_t bytes, cudaStream_t stream) {
  put_into(stream, [=] { std::memset(at, value, bytes); });
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = new CUstream_st{{}, current_device};
  streams().insert(*stream);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  run(stream);
  streams().erase(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  not_while_recording("cudaStreamSynchronize");
  run(stream);
  return cudaSuccess;
}
/// The only stream that is asked is the one of the exchanges. Some versions of CUDA remember that it was not ready.
cudaError_t cudaStreamQuery(cudaStream_t stream) {
  not_while_recording("cudaStreamQuery");
  if (exchange_under_way != nullptr && exchange_under_way()) return last_error = cudaErrorNotReady;
  run(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  not_while_recording("a second recording");
  recording = {stream, {}};
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (recording.stream != stream) refuse("the end of a recording that has not begun");
  *graph = new CUgraph_st{std::exchange(recording, {}).work};
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  *executable = new CUgraphExec_st{std::make_shared<const Work>(graph->work)};
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  put_into(stream, [all = executable->work] {
    for (const auto& work : *all) work();
  });
  return cudaSuccess;
}
}

namespace {

struct Layout {
  cudaDataType type;
  std::uint64_t rows, columns;
  std::int64_t stride;
  std::int64_t next_part = 0;
  std::int32_t parts = 1;
};

struct Product {
  bool integer = false;
  bool transposed = false;
  bool bias = false;
  cudaDataType bias_type = CUDA_R_32F;
  const void* bias_data = nullptr;
};

/// cuBLASLt's descriptors are arrays that the library fills in.
template <class T, class Opaque>
T& inside(Opaque* opaque) {
  static_assert(sizeof(T) <= sizeof(Opaque));
  return *reinterpret_cast<T*>(opaque);
}

float load(const void* data, cudaDataType type, std::uint64_t index) {
  if (type == CUDA_R_16BF) return static_cast<const Bf16*>(data)[index].to_float();
  return static_cast<const float*>(data)[index];
}

std::size_t bytes_of(cudaDataType type) { return type == CUDA_R_8I ? 1 : type == CUDA_R_16BF ? 2 : 4; }

/// Rows of probes repeat, those in 8 bits twice as late: most of the time of loading a model would go into them.
bool repeats_one_before(std::size_t row, const Layout& b, const void* x, float beta, const Layout& d, void* y) {
  const std::size_t period = b.type == CUDA_R_8I ? 8 : 4;
  if (row < period || beta != 0.0F) return false;
  const std::size_t in = static_cast<std::size_t>(b.stride) * bytes_of(b.type);
  const std::size_t out = static_cast<std::size_t>(d.stride) * bytes_of(d.type);
  const auto* from = static_cast<const std::byte*>(x) + row * in;
  if (std::memcmp(from, from - period * in, in) != 0) return false;
  auto* to = static_cast<std::byte*>(y) + row * out;
  std::memcpy(to, to - period * out, out);
  return true;
}

template <class T>
T attribute(const void* value, std::size_t size) {
  if (size != sizeof(T)) refuse("an attribute of another size than its type has");
  T read;
  std::memcpy(&read, value, sizeof read);
  return read;
}

/// What cuBLASLt asks of a product that its tensor cores are to compute.
bool is_supported(const Product& product, const Layout& a, const Layout& b, const Layout& d) {
  const cudaDataType operands = product.integer ? CUDA_R_8I : CUDA_R_16BF;
  const bool types = a.type == operands && b.type == operands &&
                     (product.integer ? d.type == CUDA_R_32I : d.type == CUDA_R_16BF || d.type == CUDA_R_32F);
  const bool shapes = a.rows == b.rows && a.columns == d.rows && b.columns == d.columns && a.parts == b.parts &&
                      a.parts == d.parts && a.stride >= static_cast<std::int64_t>(a.rows) &&
                      d.stride >= static_cast<std::int64_t>(d.rows);
  const bool epilogue = !product.bias || (!product.integer && a.parts == 1 && product.bias_type == d.type);
  const std::int64_t step = product.integer ? 4 : 1;  // 8-bit products: multiples of 4 throughout
  const bool multiples = a.rows % static_cast<std::uint64_t>(step) == 0 &&
                         a.columns % static_cast<std::uint64_t>(step) == 0 && a.stride % step == 0 &&
                         b.stride % step == 0 && d.stride % step == 0;
  return types && shapes && epilogue && multiples && product.transposed;
}

/// Where every kernel of cuBLASLt may begin to read or write.
void expect_alignment(const void* at, const Layout& layout, bool operand) {
  const auto bytes = static_cast<std::int64_t>(bytes_of(layout.type));
  if (reinterpret_cast<std::uintptr_t>(at) % 256 != 0)
    refuse("a matrix that does not begin at a multiple of 256 bytes");
  if (operand && (layout.stride * bytes % 16 != 0 || layout.next_part * bytes % 16 != 0))
    refuse("an operand whose rows or parts do not begin at multiples of 16 bytes");
}

/// Column-major: D [n, m] = A^T [k, n]^T B [k, m].
void multiply(const Product& product, const Layout& a, const void* weights, const Layout& b, const void* x, float beta,
              const Layout& d, void* y) {
  const auto n = static_cast<std::size_t>(d.rows), m = static_cast<std::size_t>(d.columns), k = a.rows;
  for (std::size_t r = 0; r < m; ++r) {
    if (repeats_one_before(r, b, x, beta, d, y)) continue;
    for (std::size_t o = 0; o < n; ++o) {
      const std::size_t to = r * static_cast<std::size_t>(d.stride) + o;
      const std::size_t w = o * static_cast<std::size_t>(a.stride), v = r * static_cast<std::size_t>(b.stride);
      if (product.integer) {
        std::int32_t sum = 0;
        for (std::size_t i = 0; i < k; ++i)
          sum += static_cast<const std::int8_t*>(weights)[w + i] * static_cast<const std::int8_t*>(x)[v + i];
        static_cast<std::int32_t*>(y)[to] = sum;
        continue;
      }
      float sum = 0.0F;
      for (std::size_t i = 0; i < k; ++i) sum += load(weights, a.type, w + i) * load(x, b.type, v + i);
      if (product.bias) sum += load(product.bias_data, d.type, o);
      if (d.type == CUDA_R_16BF)
        static_cast<Bf16*>(y)[to] = Bf16::from_float(sum);
      else
        static_cast<float*>(y)[to] = beta == 0.0F ? sum : sum + beta * static_cast<float*>(y)[to];
    }
  }
}

}  // namespace

extern "C" {

const char* cublasLtGetStatusString(cublasStatus_t) { return "emulated"; }
cublasStatus_t cublasLtCreate(cublasLtHandle_t*) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t, std::size_t, cublasComputeType_t, cudaDataType_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* desc, cublasComputeType_t compute, cudaDataType_t scale) {
  if (scale != (compute == CUBLAS_COMPUTE_32I ? CUDA_R_32I : CUDA_R_32F)) refuse("a scale of the wrong type");
  *desc = new cublasLtMatmulDescOpaque_t{};
  inside<Product>(*desc) = {.integer = compute == CUBLAS_COMPUTE_32I};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t desc) {
  delete desc;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t desc, cublasLtMatmulDescAttributes_t what,
                                              const void* value, std::size_t size) {
  auto& product = inside<Product>(desc);
  if (what == CUBLASLT_MATMUL_DESC_TRANSA)
    product.transposed = attribute<std::int32_t>(value, size) == CUBLAS_OP_T;
  else if (what == CUBLASLT_MATMUL_DESC_EPILOGUE)
    product.bias = attribute<std::uint32_t>(value, size) == CUBLASLT_EPILOGUE_BIAS;
  else if (what == CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE)
    product.bias_type = static_cast<cudaDataType>(attribute<std::int32_t>(value, size));
  else if (what == CUBLASLT_MATMUL_DESC_BIAS_POINTER)
    product.bias_data = attribute<const void*>(value, size);
  else
    return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type, std::uint64_t rows,
                                          std::uint64_t columns, std::int64_t stride) {
  *layout = new cublasLtMatrixLayoutOpaque_t{};
  inside<Layout>(*layout) = {type, rows, columns, stride};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t what,
                                                const void* value, std::size_t size) {
  if (what == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT)
    inside<Layout>(layout).parts = attribute<std::int32_t>(value, size);
  else if (what == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)
    inside<Layout>(layout).next_part = attribute<std::int64_t>(value, size);
  else
    return CUBLAS_STATUS_NOT_SUPPORTED;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
  delete layout;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  *preference = new cublasLtMatmulPreferenceOpaque_t{};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t, cublasLtMatmulPreferenceAttributes_t,
                                                    const void*, std::size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t* results, int* count) {
  *count = 0;
  if (!is_supported(inside<Product>(desc), inside<Layout>(a), inside<Layout>(b), inside<Layout>(d)))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  results[0] = {};
  *count = 1;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t, cublasLtMatmulDesc_t, cublasLtMatrixLayout_t,
                                       cublasLtMatrixLayout_t, cublasLtMatrixLayout_t, cublasLtMatrixLayout_t,
                                       const cublasLtMatmulAlgo_t*, cublasLtMatmulHeuristicResult_t*) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void*, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void*, cublasLtMatrixLayout_t, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*, void* workspace,
                              std::size_t, cudaStream_t stream) {
  const auto product = inside<Product>(desc);
  const auto weights = inside<Layout>(a_layout), x = inside<Layout>(b_layout), y = inside<Layout>(d_layout);
  const float keep = product.integer ? 0.0F : *static_cast<const float*>(beta);
  if (!is_supported(product, weights, x, y)) refuse("a product that cuBLASLt does not have");
  if (product.bias && product.bias_data == nullptr) refuse("a product with a bias that is not there");
  if (reinterpret_cast<std::uintptr_t>(workspace) % 256 != 0) refuse("a workspace that is not aligned");
  expect_alignment(a, weights, true);
  expect_alignment(b, x, true);
  expect_alignment(d, y, false);
  put_into(stream, [=] {
    const auto part = [](const void* first, const Layout& layout, std::int64_t index) {
      return static_cast<const std::byte*>(first) +
             index * layout.next_part * static_cast<std::int64_t>(bytes_of(layout.type));
    };
    for (int p = 0; p < y.parts; ++p)
      multiply(product, weights, part(a, weights, p), x, part(b, x, p), keep, y, const_cast<std::byte*>(part(d, y, p)));
  });
  return CUBLAS_STATUS_SUCCESS;
}
}
