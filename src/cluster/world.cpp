#include "cluster/world.hpp"

#include <algorithm>
#include <new>

#include "base/bytes.hpp"
#include "base/message.hpp"
#include "cluster/links.hpp"
#include "smc/transport.hpp"

namespace shoal::cluster {
namespace {

/// How a rank's action ended; the least of the ranks decides.
enum class Outcome { failed, followed, succeeded };

struct Failure {
  Outcome outcome = Outcome::succeeded;
  ExitCode code = ExitCode::done;
  std::string line;
};

Failure describe(const std::exception_ptr& failure, Rank rank) {
  if (!failure) return {};
  const std::string where = "rank " + std::to_string(rank.value());
  try {
    std::rethrow_exception(failure);
  } catch (const smc::PeerError& e) {
    return {Outcome::followed, e.code(), e.what()};
  } catch (const Error& e) {
    return {Outcome::failed, e.code(), e.what()};
  } catch (const std::bad_alloc&) {
    return {Outcome::failed, ExitCode::internal,
            "out of memory (" + where +
                " could not allocate what it needs) use fewer particles, fewer tokens, a "
                "smaller model or more nodes"};
  } catch (const std::exception& e) {
    return {Outcome::failed, ExitCode::internal,
            "internal error (" + where + ": " + e.what() + ") please report it with the command line"};
  } catch (...) {
    return {Outcome::failed, ExitCode::internal,
            "internal error (" + where + ": an exception of unknown type) please report it with the command line"};
  }
}

}  // namespace

World::World() : links_(std::make_unique<Links>()) {}
World::~World() = default;

std::shared_ptr<World> World::shared() {
  static const std::shared_ptr<World> world(new World);
  return world;
}

Rank World::rank() const { return links_->rank; }
int World::size() const { return links_->size; }
int World::ranks_on_node() const { return links_->ranks_on_node; }
int World::rank_on_node() const { return links_->rank_on_node; }
int World::cores_on_node() const { return links_->cores_on_node; }

std::string World::broadcast(std::string_view mine) { return broadcast_from(Rank{0}, mine); }

std::vector<std::string> World::share(std::string_view mine) {
  std::vector<std::string> all;
  for (int r = 0; r < size(); ++r) all.push_back(broadcast_from(Rank{r}, mine));
  return all;
}

std::string World::broadcast_from(Rank root, std::string_view mine) {
  const auto share = [&](void* data, std::size_t size) {
    Request request;
    check(MPI_Ibcast(data, static_cast<int>(size), MPI_BYTE, root.value(), links_->agreements.get(), request.out()),
          "MPI_Ibcast");
    for (const Pause pause(Idle::nap); !request.done();) pause.rest();
  };
  std::uint64_t size = mine.size();
  share(&size, sizeof size);
  std::string bytes = rank() == root ? std::string(mine) : std::string(size, '\0');
  for (std::size_t at = 0; at < size; at += Message::largest_piece)
    share(bytes.data() + at, std::min<std::size_t>(size - at, Message::largest_piece));
  return bytes;
}

/// One allreduce if nobody failed.
void World::agree(const std::exception_ptr& failure) {
  const Failure mine = describe(failure, rank());
  int first = static_cast<int>(mine.outcome) * size() + rank().value();
  Request request;
  check(MPI_Iallreduce(MPI_IN_PLACE, &first, 1, MPI_INT, MPI_MIN, links_->agreements.get(), request.out()),
        "MPI_Iallreduce");
  Heartbeat::Watch watch(&links_->heartbeat);
  for (const Pause pause(Idle::nap); !request.done(); pause.rest()) {
    watch.look();
    if (!failure || pause.waited_s() < links_->patience_for(mine.code)) continue;
    print_error(mine.line);
    abort(static_cast<int>(mine.code));
  }
  if (first >= static_cast<int>(Outcome::succeeded) * size()) return;

  ByteWriter out;
  out.put(mine.code);
  out.put_string(mine.line);
  const std::string agreed = broadcast_from(Rank{first % size()}, out.take());
  ByteReader in(agreed);
  const auto code = in.get<ExitCode>();
  throw AgreedError(code, std::string(in.get_string()));
}

void World::set_hang_limit(double seconds) { links_->heartbeat.set_limit(seconds); }

void World::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::abort();
}

}  // namespace shoal::cluster
