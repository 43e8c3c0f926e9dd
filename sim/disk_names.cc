#include "sim/disk_names.h"

#include <algorithm>
#include <utility>

#include "absl/container/btree_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"

namespace quorate::sim {
namespace {

std::vector<std::string> Components(absl::string_view path) {
  std::vector<std::string> components;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (!part.empty() && part != ".") components.emplace_back(part);
  }
  return components;
}

absl::Status Missing(absl::string_view operation, absl::string_view path) {
  return absl::NotFoundError(absl::StrCat(operation, " ", path, ": no such file or directory"));
}
absl::Status NotADirectory(absl::string_view operation, absl::string_view path) {
  return absl::FailedPreconditionError(absl::StrCat(operation, " ", path, ": not a directory"));
}
absl::Status IsADirectory(absl::string_view operation, absl::string_view path) {
  return absl::FailedPreconditionError(
      absl::StrCat(operation, " ", path, ": illegal operation on a directory"));
}

std::shared_ptr<DiskNode> CopyNode(const DiskNode& node, uint64_t* used, bool durable_only) {
  auto copy = std::make_shared<DiskNode>();
  if (!node.is_directory()) {
    copy->pages = node.pages->Copy(used, durable_only);
    return copy;
  }
  for (const auto& [name, child] : durable_only ? node.durable : node.names) {
    copy->names[name] = CopyNode(*child, used, durable_only);
  }
  copy->durable = copy->names;
  return copy;
}

uint64_t DigestOf(const DiskNode& node) {
  if (!node.is_directory()) return node.pages->Digest();
  uint64_t digest = 1;
  for (const auto& [name, child] : node.names) {
    digest = Mix64(digest ^ HashName(name)) + DigestOf(*child);
  }
  return digest;
}

void MakeNamesDurable(DiskNode* node) {
  node->names = node->durable;
  for (auto& [name, child] : node->names) {
    if (child->is_directory()) MakeNamesDurable(child.get());
  }
}

void Walk(const DiskNode& node, const std::string& path, bool durable,
          const std::function<void(const std::string&, DiskNode*)>& visit) {
  for (const auto& [name, child] : durable ? node.durable : node.names) {
    const std::string child_path = absl::StrCat(path, "/", name);
    if (child->is_directory()) {
      Walk(*child, child_path, durable, visit);
    } else {
      visit(child_path, child.get());
    }
  }
}

}  // namespace

absl::StatusOr<std::shared_ptr<DiskNode>> NameTree::Find(absl::string_view path) const {
  std::shared_ptr<DiskNode> node = root_;
  for (const std::string& component : Components(path)) {
    if (!node->is_directory()) return NotADirectory("open", path);
    const auto found = node->names.find(component);
    if (found == node->names.end()) return Missing("open", path);
    node = found->second;
  }
  return node;
}

absl::StatusOr<std::shared_ptr<DiskNode>> NameTree::FindDirectory(absl::string_view operation,
                                                                  absl::string_view path) const {
  absl::StatusOr<std::shared_ptr<DiskNode>> node = Find(path);
  if (absl::IsNotFound(node.status())) return Missing(operation, path);
  if (!node.ok() || !(*node)->is_directory()) return NotADirectory(operation, path);
  return node;
}

absl::StatusOr<NameTree::Place> NameTree::FindPlace(absl::string_view operation,
                                                    absl::string_view path) const {
  std::vector<std::string> components = Components(path);
  if (components.empty()) return IsADirectory(operation, path);
  Place place;
  place.name = std::move(components.back());
  components.pop_back();
  place.directory = root_;
  for (const std::string& component : components) {
    const auto found = place.directory->names.find(component);
    if (found == place.directory->names.end()) return Missing(operation, path);
    if (!found->second->is_directory()) return NotADirectory(operation, path);
    place.directory = found->second;
  }
  return place;
}

void NameTree::Apply(const Change& change, bool durable) {
  for (const NameChange& part : change) {
    DiskNode::Names& names = durable ? part.directory->durable : part.directory->names;
    if (part.node == nullptr) {
      names.erase(part.name);
    } else {
      names[part.name] = part.node;
    }
  }
}

void NameTree::Do(Change change) {
  Apply(change, /*durable=*/false);
  pending_.push_back(std::move(change));
}

absl::StatusOr<std::shared_ptr<DiskNode>> NameTree::OpenFile(absl::string_view path, bool create,
                                                             bool exclusive) {
  ASSIGN_OR_RETURN(const Place place, FindPlace("open", path));
  const auto found = place.directory->names.find(place.name);
  if (found != place.directory->names.end()) {
    if (create && exclusive) {
      return absl::AlreadyExistsError(absl::StrCat("open ", path, ": file already exists"));
    }
    if (found->second->is_directory()) return IsADirectory("open", path);
    return found->second;
  }
  if (!create) return Missing("open", path);
  auto file = std::make_shared<DiskNode>();
  file->pages = std::make_unique<FilePages>(used_);
  Do({{place.directory, place.name, file}});
  return file;
}

absl::Status NameTree::MakeDirs(absl::string_view path) {
  std::shared_ptr<DiskNode> node = root_;
  for (const std::string& component : Components(path)) {
    const auto found = node->names.find(component);
    if (found == node->names.end()) {
      auto directory = std::make_shared<DiskNode>();
      Do({{node, component, directory}});
      node = directory;
    } else if (found->second->is_directory()) {
      node = found->second;
    } else {
      return NotADirectory("make directory", path);
    }
  }
  return absl::OkStatus();
}

absl::Status NameTree::Rename(absl::string_view from, absl::string_view to) {
  const std::string both = absl::StrCat(from, " to ", to);
  ASSIGN_OR_RETURN(const Place source, FindPlace("rename", from));
  ASSIGN_OR_RETURN(const Place target, FindPlace("rename", to));
  const auto found = source.directory->names.find(source.name);
  if (found == source.directory->names.end()) return Missing("rename", both);
  const std::shared_ptr<DiskNode> node = found->second;
  const auto replaced = target.directory->names.find(target.name);
  if (replaced != target.directory->names.end()) {
    if (replaced->second == node) return absl::OkStatus();
    if (replaced->second->is_directory() != node->is_directory()) {
      return node->is_directory() ? NotADirectory("rename", both) : IsADirectory("rename", both);
    }
    if (!replaced->second->names.empty()) {
      return absl::AlreadyExistsError(absl::StrCat("rename ", both, ": directory not empty"));
    }
  }
  Do({{source.directory, source.name, nullptr}, {target.directory, target.name, node}});
  return absl::OkStatus();
}

absl::Status NameTree::Remove(absl::string_view path) {
  ASSIGN_OR_RETURN(const Place place, FindPlace("remove", path));
  const auto found = place.directory->names.find(place.name);
  if (found == place.directory->names.end()) return Missing("remove", path);
  if (!found->second->names.empty()) {
    return absl::AlreadyExistsError(absl::StrCat("remove ", path, ": directory not empty"));
  }
  Do({{place.directory, place.name, nullptr}});
  return absl::OkStatus();
}

absl::Status NameTree::SyncDir(absl::string_view path) {
  ASSIGN_OR_RETURN(const std::shared_ptr<DiskNode> directory,
                   FindDirectory("sync directory", path));
  std::vector<Change> kept;
  for (Change& change : pending_) {
    const bool here = std::any_of(change.begin(), change.end(), [&](const NameChange& part) {
      return part.directory == directory;
    });
    if (here) {
      Apply(change, /*durable=*/true);
    } else {
      kept.push_back(std::move(change));
    }
  }
  pending_ = std::move(kept);
  return absl::OkStatus();
}

uint64_t NameTree::LosePower(const Survivor& survivor) {
  uint64_t lost = 0;
  for (const Change& change : pending_) {
    if (survivor(1) == 1) {
      Apply(change, /*durable=*/true);
    } else {
      ++lost;
    }
  }
  pending_.clear();
  MakeNamesDurable(root_.get());
  return lost;
}

NameTree NameTree::Copy(uint64_t* used, bool durable_only) const {
  NameTree copy(used);
  copy.root_ = CopyNode(*root_, used, durable_only);
  return copy;
}

NameTree NameTree::Clone(uint64_t* used) const {
  absl::btree_map<const DiskNode*, std::shared_ptr<DiskNode>> clones;  // lookup only
  const std::function<std::shared_ptr<DiskNode>(const std::shared_ptr<DiskNode>&)> clone_of =
      [&](const std::shared_ptr<DiskNode>& node) -> std::shared_ptr<DiskNode> {
    if (node == nullptr) return nullptr;
    std::shared_ptr<DiskNode>& clone = clones[node.get()];
    if (clone != nullptr) return clone;
    const auto made = std::make_shared<DiskNode>();
    clone = made;
    if (!node->is_directory()) {
      made->pages = node->pages->Clone(used);
      return made;
    }
    for (const auto& [name, child] : node->names) made->names[name] = clone_of(child);
    for (const auto& [name, child] : node->durable) made->durable[name] = clone_of(child);
    return made;
  };
  NameTree clone(used);
  clone.root_ = clone_of(root_);
  for (const Change& change : pending_) {
    Change& copy = clone.pending_.emplace_back();
    for (const NameChange& part : change) {
      copy.push_back({clone_of(part.directory), part.name, clone_of(part.node)});
    }
  }
  return clone;
}

void NameTree::ForEachFile(
    const std::function<void(const std::string& path, DiskNode* file)>& visit, bool durable) const {
  Walk(*root_, "", durable, visit);
}

uint64_t NameTree::Digest() const { return DigestOf(*root_); }

}  // namespace quorate::sim
