#include "lm/cuda/products.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "lm/cuda/batch_sizes.hpp"
#include "lm/cuda/launches.hpp"
#include "lm/number_formats.hpp"

namespace shoal::lm::cuda {
namespace {

constexpr std::size_t workspace_bytes = std::size_t{32} << 20U;
constexpr int most_candidates = 16;
/// Distinct rows of a probe, repeated at every place of a batch.
constexpr int probe_rows = 4;

void check(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(ExitCode::internal, std::string("a matrix product failed on the GPU (") + call + ": " +
                                      cublasLtGetStatusString(status) + ") use --device cpu, and please report it");
}

bool in_8_bits(const ProductShape& shape) { return shape.output == Output::sums_of_8_bits; }
cudaDataType operand_type(const ProductShape& shape) { return in_8_bits(shape) ? CUDA_R_8I : CUDA_R_16BF; }
cudaDataType output_type(const ProductShape& shape) {
  if (in_8_bits(shape)) return CUDA_R_32I;
  return shape.output == Output::bf16 ? CUDA_R_16BF : CUDA_R_32F;
}
std::size_t output_bytes(const ProductShape& shape) { return shape.output == Output::bf16 ? 2 : 4; }
std::size_t part_elements(const ProductShape& shape) {
  return static_cast<std::size_t>(most_rows) * static_cast<std::size_t>(shape.outputs);
}

}  // namespace

int parts_of(int outputs, int inputs) {
  constexpr int tile = 64, enough_tiles = 128, most_parts = 4, fewest_inputs = 256;
  int parts = 1;
  while (parts < most_parts && parts * outputs < enough_tiles * tile && inputs % (parts * 32) == 0 &&
         inputs / (parts * 2) >= fewest_inputs)
    parts *= 2;
  return parts;
}

/// One shape at one batch size. cuBLASLt is column-major: y^T = W x^T, with W^T as it lies in memory.
class Products::Plan {
 public:
  Plan(const ProductShape& shape, int rows) : shape_(shape), rows_(rows) {
    const auto compute = in_8_bits(shape) ? CUBLAS_COMPUTE_32I : CUBLAS_COMPUTE_32F;
    check(cublasLtMatmulDescCreate(&product_, compute, in_8_bits(shape) ? CUDA_R_32I : CUDA_R_32F), "create");
    set(CUBLASLT_MATMUL_DESC_TRANSA, CUBLAS_OP_T);
    if (shape.bias) set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
    if (shape.bias) set(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, output_type(shape));
    const auto n = static_cast<std::uint64_t>(shape.outputs),
               k = static_cast<std::uint64_t>(shape.inputs / shape.parts);
    const auto m = static_cast<std::uint64_t>(rows);
    weights_ = layout(operand_type(shape), k, n, shape.inputs, shape.inputs / shape.parts);
    x_ = layout(operand_type(shape), k, m, shape.inputs, shape.inputs / shape.parts);
    y_ = layout(output_type(shape), n, m, shape.outputs, static_cast<std::int64_t>(part_elements(shape)));
  }
  ~Plan() {
    cublasLtMatrixLayoutDestroy(y_);
    cublasLtMatrixLayoutDestroy(x_);
    cublasLtMatrixLayoutDestroy(weights_);
    cublasLtMatmulDescDestroy(product_);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  /// Algorithms in the order in which cuBLASLt expects them to be fast; none that splits sums, unless they are exact.
  /// @param bias as aligned as the product's will be
  [[nodiscard]] std::vector<cublasLtMatmulAlgo_t> candidates(cublasLtHandle_t handle, const void* bias) const {
    if (shape_.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "preference");
    const std::uint32_t no_splits = CUBLASLT_REDUCTION_SCHEME_NONE;
    if (!in_8_bits(shape_))
      check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &no_splits,
                                                 sizeof no_splits),
            "preference");
    check(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                               sizeof workspace_bytes),
          "preference");
    std::array<cublasLtMatmulHeuristicResult_t, most_candidates> results{};
    int count = 0;
    const auto status = cublasLtMatmulAlgoGetHeuristic(handle, product_, weights_, x_, y_, y_, preference,
                                                       most_candidates, results.data(), &count);
    cublasLtMatmulPreferenceDestroy(preference);
    std::vector<cublasLtMatmulAlgo_t> algorithms;
    for (int i = 0; status == CUBLAS_STATUS_SUCCESS && i < count; ++i)
      if (results[static_cast<std::size_t>(i)].state == CUBLAS_STATUS_SUCCESS)
        algorithms.push_back(results[static_cast<std::size_t>(i)].algo);
    return algorithms;
  }
  [[nodiscard]] bool can_run(cublasLtHandle_t handle, const cublasLtMatmulAlgo_t& algorithm) const {
    cublasLtMatmulHeuristicResult_t result{};
    return cublasLtMatmulAlgoCheck(handle, product_, weights_, x_, y_, y_, &algorithm, &result) ==
               CUBLAS_STATUS_SUCCESS &&
           result.workspaceSize <= workspace_bytes;
  }
  void use(const cublasLtMatmulAlgo_t& algorithm) { algorithm_ = algorithm; }
  [[nodiscard]] const cublasLtMatmulAlgo_t& algorithm() const { return algorithm_; }
  [[nodiscard]] int rows() const { return rows_; }

  [[nodiscard]] cublasStatus_t start(cublasLtHandle_t handle, const Operands& o, const Array<std::byte>& workspace,
                                     const Stream& stream) const {
    if (shape_.bias) set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, o.bias);
    const float one = 1.0F, zero = 0.0F;
    const std::int32_t integer_one = 1, integer_zero = 0;
    const void* alpha = in_8_bits(shape_) ? static_cast<const void*>(&integer_one) : &one;
    const void* beta = in_8_bits(shape_) ? static_cast<const void*>(&integer_zero) : &zero;
    return cublasLtMatmul(handle, product_, alpha, o.weights, weights_, o.x, x_, beta, o.y, y_, o.y, y_, &algorithm_,
                          workspace.data(), workspace.size(), stream.get());
  }

 private:
  /// Column-major. @param stride elements from a part to the next
  [[nodiscard]] cublasLtMatrixLayout_t layout(cudaDataType type, std::uint64_t rows, std::uint64_t columns,
                                              std::int64_t leading, std::int64_t stride) const {
    cublasLtMatrixLayout_t made = nullptr;
    check(cublasLtMatrixLayoutCreate(&made, type, rows, columns, leading), "layout");
    if (shape_.parts == 1) return made;
    const std::int32_t parts = shape_.parts;
    check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &parts, sizeof parts), "parts");
    check(cublasLtMatrixLayoutSetAttribute(made, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
          "parts");
    return made;
  }
  template <class T>
  void set(cublasLtMatmulDescAttributes_t attribute, const T& value) const {
    check(cublasLtMatmulDescSetAttribute(product_, attribute, &value, sizeof value), "attribute");
  }

  ProductShape shape_;
  int rows_;
  cublasLtMatmulDesc_t product_ = nullptr;
  cublasLtMatrixLayout_t weights_ = nullptr, x_ = nullptr, y_ = nullptr;
  cublasLtMatmulAlgo_t algorithm_{};
};

/// Tries algorithms on rows that repeat, and compares all of them with what the reference made of the first few.
class Products::Probe {
 public:
  Probe(const Products& products, const ProductShape& shape, const void* weights)
      : products_(products),
        shape_(shape),
        x_(static_cast<std::size_t>(most_rows) * static_cast<std::size_t>(shape.inputs) * 2),
        bias_(static_cast<std::size_t>(shape.outputs) * output_bytes(shape)),
        y_(static_cast<std::size_t>(shape.parts) * part_bytes()),
        expected_(static_cast<std::size_t>(shape.parts) * probe_rows * row_bytes()),
        differences_(1),
        operands_{weights, x_.data(), shape.bias ? bias_.data() : nullptr, y_.data()} {
    cuda::check(cudaMemsetAsync(bias_.data(), 0, bias_.bytes(), products.stream_.get()), "cudaMemsetAsync");
    fill_x();
  }

  [[nodiscard]] const void* bias() const { return operands_.bias; }
  /// @return whether it ran
  [[nodiscard]] bool remember(const Plan& reference) const {
    if (!run(reference)) return false;
    for (std::size_t p = 0; p < parts(); ++p)
      cuda::check(cudaMemcpyAsync(expected_of(p), y_of(p), probe_rows * row_bytes(), cudaMemcpyDeviceToDevice,
                                  products_.stream_.get()),
                  "cudaMemcpyAsync");
    return true;
  }
  [[nodiscard]] bool repeats_the_bits(const Plan& plan) const {
    if (!run(plan)) return false;
    if (in_8_bits(shape_)) return true;
    const auto stream = products_.stream_.get();
    cuda::check(cudaMemsetAsync(differences_.data(), 0, sizeof(int), stream), "cudaMemsetAsync");
    for (std::size_t p = 0; p < parts(); ++p)
      launch(CompareTask{reinterpret_cast<const std::uint32_t*>(y_of(p)),
                         reinterpret_cast<const std::uint32_t*>(expected_of(p)), static_cast<int>(row_bytes() / 4),
                         probe_rows, differences_.data()},
             plan.rows(), stream);
    int differences = 0;
    copy_to_host(differences_.data(), std::span(&differences, 1), products_.stream_);
    products_.stream_.wait();
    return differences == 0;
  }

 private:
  [[nodiscard]] std::size_t row_bytes() const {
    return static_cast<std::size_t>(shape_.outputs) * output_bytes(shape_);
  }
  [[nodiscard]] std::size_t parts() const { return static_cast<std::size_t>(shape_.parts); }
  [[nodiscard]] std::size_t part_bytes() const { return part_elements(shape_) * output_bytes(shape_); }
  [[nodiscard]] std::byte* y_of(std::size_t part) const { return y_.data() + part * part_bytes(); }
  [[nodiscard]] std::byte* expected_of(std::size_t part) const {
    return expected_.data() + part * probe_rows * row_bytes();
  }
  void fill_x() {
    std::mt19937 generator(1);
    std::normal_distribution<float> normal;
    const auto width = static_cast<std::size_t>(shape_.inputs);
    std::vector<Bf16> rows(most_rows * width);
    for (std::size_t i = 0; i < rows.size(); ++i)
      rows[i] = i < probe_rows * width ? Bf16::from_float(normal(generator)) : rows[i - probe_rows * width];
    copy_to_device(std::span<const std::byte>(std::as_bytes(std::span(rows))), x_.data(), products_.stream_);
    products_.stream_.wait();
  }
  [[nodiscard]] bool run(const Plan& plan) const {
    cuda::check(cudaMemsetAsync(y_.data(), 0, y_.bytes(), products_.stream_.get()), "cudaMemsetAsync");
    return plan.start(products_.handle_, operands_, products_.workspace_, products_.stream_) == CUBLAS_STATUS_SUCCESS;
  }

  const Products& products_;
  ProductShape shape_;
  Array<std::byte> x_, bias_, y_, expected_;
  Array<int> differences_;
  Operands operands_;
};

Products::Products(const Stream& stream) : stream_(stream), workspace_(workspace_bytes) {
  check(cublasLtCreate(&handle_), "cublasLtCreate");
}
Products::~Products() { cublasLtDestroy(handle_); }

void Products::prepare(const ProductShape& shape, const void* weights) {
  if (plans_.contains({shape, most_rows})) return;
  const auto reference = std::make_shared<Plan>(shape, most_rows);
  Probe probe(*this, shape, weights);
  const auto candidates = reference->candidates(handle_, probe.bias());
  if (candidates.empty())
    throw ModelError("cuBLASLt has no product of " + std::to_string(shape.outputs) + " x " +
                     std::to_string(shape.inputs) + " (widths must be multiples of 16) use --device cpu");
  const bool found = std::any_of(candidates.begin(), candidates.end(), [&](const cublasLtMatmulAlgo_t& candidate) {
    reference->use(candidate);
    return probe.remember(*reference) && probe.repeats_the_bits(*reference);
  });
  if (!found)
    throw ModelError(
        "cuBLASLt has no product of " + std::to_string(shape.outputs) + " x " + std::to_string(shape.inputs) +
        (in_8_bits(shape)
             ? " in 8 bits (none runs on this GPU) use --dtype bf16 or --device cpu"
             : " in bf16 (with every one a row's bits depend on its place) use --dtype int8 or --device cpu"));
  plans_[{shape, most_rows}] = reference;
  std::shared_ptr<const Plan> larger = reference;
  for (auto rows = batch_sizes.rbegin() + 1; rows != batch_sizes.rend(); ++rows) {
    auto plan = choose(shape, *rows, probe);
    if (!plan) padded_for_bits_ = std::max(padded_for_bits_, larger->rows());
    larger = plan ? plan : larger;
    plans_[{shape, *rows}] = larger;
  }
}

/// Null if no algorithm repeats the reference's bits.
std::shared_ptr<const Products::Plan> Products::choose(const ProductShape& shape, int rows, const Probe& probe) const {
  const auto plan = std::make_shared<Plan>(shape, rows);
  auto candidates = plan->candidates(handle_, probe.bias());
  const auto& reference = plans_.at({shape, most_rows})->algorithm();
  if (plan->can_run(handle_, reference)) candidates.push_back(reference);
  for (const auto& candidate : candidates) {
    plan->use(candidate);
    if (probe.repeats_the_bits(*plan)) return plan;
  }
  return nullptr;
}

void Products::multiply(const ProductShape& shape, int rows, const Operands& operands) const {
  check(plans_.at({shape, rows})->start(handle_, operands, workspace_, stream_), "cublasLtMatmul");
}

}  // namespace shoal::lm::cuda
