// Process groups of torch.distributed's c10d: stores, Gloo groups by name, and a watch over the other processes.
// Collectives are ordinary operators (`_c10d_functional::…`) that find a group by its name.
#include "binding.h"
#include "watch.h"

#ifdef TUNESMITH_GLOO

#include <torch/csrc/distributed/c10d/FileStore.hpp>
#include <torch/csrc/distributed/c10d/GroupRegistry.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <functional>
#include <map>
#include <mutex>

namespace tunesmith {
namespace {

using StorePointer = c10::intrusive_ptr<c10d::Store>;

struct StoreHolder {
  StorePointer store;
  int port;
  // A connection of its own to the same store: one that waits for an answer takes nothing else.
  std::function<StorePointer(std::chrono::milliseconds timeout)> again;
};

void finalize_store(node_api_basic_env, void* data, void*) { delete static_cast<StoreHolder*>(data); }

StoreHolder* read_store(napi_env env, napi_value value) {
  void* data = nullptr;
  check(env, napi_get_value_external(env, value, &data), "a store");
  auto* holder = static_cast<StoreHolder*>(data);
  if (!holder->store) throw ArgumentError("the store is closed");
  return holder;
}

std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }
std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

c10::intrusive_ptr<c10d::TCPStore> connect(const std::string& host, int port, bool server,
                                           std::chrono::milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(port);
  options.isServer = server;
  options.waitWorkers = false;
  options.timeout = timeout;
  // Debian's libtorch is built without libuv. Clients of both kinds of server are the same.
  options.useLibUV = false;
  return c10::make_intrusive<c10d::TCPStore>(host, options);
}

napi_value make_store(napi_env env, StoreHolder* holder) {
  napi_value result;
  check(env, napi_create_external(env, holder, finalize_store, nullptr, &result), "a store");
  return result;
}

// openStore(host, port, server, timeoutMs) -> external; port 0 of a server is chosen by the system
TUNESMITH_FUNCTION(open_store) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string host = read_string(env, a[0], "host");
    auto store = connect(host, static_cast<int>(read_int(env, a[1], "port")), read_bool(env, a[2], "server"),
                         std::chrono::milliseconds(read_int(env, a[3], "timeout")));
    const int port = store->getPort();
    return make_store(env, new StoreHolder{store, port, [host, port](std::chrono::milliseconds timeout) {
                                             return connect(host, port, false, timeout);
                                           }});
  });
}

// openFileStore(path, processes, timeoutMs) -> external. The file is removed once every process has closed it.
TUNESMITH_FUNCTION(open_file_store) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string path = read_string(env, a[0], "path");
    const int size = static_cast<int>(read_int(env, a[1], "processes"));
    const auto again = [path, size](std::chrono::milliseconds timeout) -> StorePointer {
      auto store = c10::make_intrusive<c10d::FileStore>(path, size);
      store->setTimeout(timeout);
      return store;
    };
    return make_store(env, new StoreHolder{again(std::chrono::milliseconds(read_int(env, a[2], "timeout"))), 0, again});
  });
}

// openStoreAgain(store, timeoutMs) -> external
TUNESMITH_FUNCTION(open_store_again) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const StoreHolder& holder = *read_store(env, a[0]);
    auto store = holder.again(std::chrono::milliseconds(read_int(env, a[1], "timeout")));
    return make_store(env, new StoreHolder{store, holder.port, holder.again});
  });
}

TUNESMITH_FUNCTION(close_store) {
  return guarded(env, [&] {
    Arguments a(env, info);
    read_store(env, a[0])->store.reset();
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(store_port) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_number(env, read_store(env, a[0])->port);
  });
}

TUNESMITH_FUNCTION(store_set) {
  return guarded(env, [&] {
    Arguments a(env, info);
    read_store(env, a[0])->store->set(read_string(env, a[1], "key"), bytes_of(read_string(env, a[2], "value")));
    return make_undefined(env);
  });
}

// storeGet(store, key) -> the value, undefined where there is none: c10d's `get` would wait for it
TUNESMITH_FUNCTION(store_get) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto& store = *read_store(env, a[0])->store;
    const std::string key = read_string(env, a[1], "key");
    return store.check({key}) ? make_string(env, text_of(store.get(key))) : make_undefined(env);
  });
}

TUNESMITH_FUNCTION(store_delete) {
  return guarded(env, [&] {
    Arguments a(env, info);
    return make_bool(env, read_store(env, a[0])->store->deleteKey(read_string(env, a[1], "key")));
  });
}

TUNESMITH_FUNCTION(store_add) {
  return guarded(env, [&] {
    Arguments a(env, info);
    auto& store = *read_store(env, a[0])->store;
    return make_number(env,
                       static_cast<double>(store.add(read_string(env, a[1], "key"), read_int(env, a[2], "a number"))));
  });
}

// Not destroyed at exit: Gloo's threads may still run then.
std::mutex& groups_mutex = *new std::mutex;
auto& groups = *new std::map<std::string, c10::intrusive_ptr<c10d::ProcessGroup>>;

// Groups of libtorch 2.6 keep the timeout that they were made with: connections then wait as long as collectives.
template <class Group, class = void> struct ChangesTimeout : std::false_type {};
template <class Group> struct ChangesTimeout<Group, std::void_t<decltype(&Group::setTimeout)>> : std::true_type {};

template <class Group> void change_timeout(Group& group, std::chrono::milliseconds timeout) {
  if constexpr (ChangesTimeout<Group>::value) group.setTimeout(timeout);
}

// makeGroup(name, store, prefix, rank, size, address, interface, connectMs, timeoutMs)
TUNESMITH_FUNCTION(make_group) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string name = read_string(env, a[0], "name");
    StorePointer store =
        c10::make_intrusive<c10d::PrefixStore>(read_string(env, a[2], "prefix"), read_store(env, a[1])->store);
    const int rank = static_cast<int>(read_int(env, a[3], "rank"));
    const int size = static_cast<int>(read_int(env, a[4], "size"));
    const std::string address = read_string(env, a[5], "address");
    const std::string interface = read_string(env, a[6], "interface");
    const std::chrono::milliseconds connecting(read_int(env, a[7], "timeout"));
    const std::chrono::milliseconds collective(read_int(env, a[8], "timeout"));
    const bool changes = ChangesTimeout<c10d::ProcessGroupGloo>::value;
    auto options = c10d::ProcessGroupGloo::Options::create(changes ? connecting : collective);
    options->devices.push_back(interface.empty() ? c10d::ProcessGroupGloo::createDeviceForHostname(address)
                                                 : c10d::ProcessGroupGloo::createDeviceForInterface(interface));
    // One thread for collectives. Two of them assign the name of the last one, a string, without a lock (runLoop,
    // lastCompletedWorkName): they free its memory twice, and a collective that got it in between never ends.
    options->threads = 1;
    auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
    // A collective may wait for a process that computes, a connection only for the network.
    change_timeout(*gloo, collective);
    auto group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
    group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gloo);
    group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
    group->setGroupName(name);
    c10d::register_process_group(name, group);
    std::lock_guard<std::mutex> lock(groups_mutex);
    groups.emplace(name, group);
    return make_undefined(env);
  });
}

TUNESMITH_FUNCTION(drop_group) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string name = read_string(env, a[0], "name");
    c10d::unregister_process_group(name);
    std::lock_guard<std::mutex> lock(groups_mutex);
    groups.erase(name);
    return make_undefined(env);
  });
}

struct C10dBoard : BeatBoard {
  StorePointer store;
  std::string own;
  std::vector<std::string> keys;
  void beat(const std::string& value) override { store->set(own, bytes_of(value)); }
  std::vector<std::string> read() override {
    std::vector<std::string> values;
    for (const auto& value : store->multiGet(keys)) values.push_back(text_of(value));
    return values;
  }
};

// startWatch(store, prefix, rank, names, {beatMs, deadlineMs, urgentMs, graceMs}): every process has written its
// beat
TUNESMITH_FUNCTION(start_watch) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const auto rank = static_cast<size_t>(read_int(env, a[2], "rank"));
    const std::string prefix = read_string(env, a[1], "prefix");
    uint32_t size = 0;
    check(env, napi_get_array_length(env, a[3], &size), "names");
    std::vector<std::string> names;
    auto board = std::make_unique<C10dBoard>();
    for (uint32_t i = 0; i < size; i++) {
      napi_value name;
      check(env, napi_get_element(env, a[3], i, &name), "a name");
      names.push_back(read_string(env, name, "a name"));
      board->keys.push_back("beat/" + std::to_string(i));
    }
    board->keys.emplace_back("abort");
    board->own = board->keys[rank];
    const auto times = read_ints(env, a[4], "times");
    board->store = c10::make_intrusive<c10d::PrefixStore>(
        prefix, read_store(env, a[0])->again(std::chrono::milliseconds(times.at(1))));
    start_watching(std::move(board), rank, std::move(names), {times.at(0), times.at(1), times.at(2), times.at(3)});
    return make_undefined(env);
  });
}

// watchFailure(urgent) -> what ended the group, undefined while all answer. Urgent: a collective has failed.
TUNESMITH_FUNCTION(watch_failure) {
  return guarded(env, [&] {
    Arguments a(env, info);
    const std::string failure = watched_failure(read_bool(env, a[0], "urgent"));
    return failure.empty() ? make_undefined(env) : make_string(env, failure);
  });
}

TUNESMITH_FUNCTION(stop_watch) {
  return guarded(env, [&] {
    stop_watching();
    return make_undefined(env);
  });
}

}  // namespace

std::vector<Export> process_group_exports() {
  return {{"openStore", open_store},
          {"openFileStore", open_file_store},
          {"openStoreAgain", open_store_again},
          {"closeStore", close_store},
          {"storePort", store_port},
          {"storeSet", store_set},
          {"storeGet", store_get},
          {"storeAdd", store_add},
          {"storeDelete", store_delete},
          {"makeGroup", make_group},
          {"dropGroup", drop_group},
          {"startWatch", start_watch},
          {"watchFailure", watch_failure},
          {"stopWatch", stop_watch}};
}

}  // namespace tunesmith

#else

namespace tunesmith {
std::vector<Export> process_group_exports() { return {}; }
}  // namespace tunesmith

#endif
