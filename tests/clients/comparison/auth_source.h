// Draws Auth requests over a few users and roles, and who sends the others.
#ifndef QUORATE_TESTS_CLIENTS_COMPARISON_AUTH_SOURCE_H_
#define QUORATE_TESTS_CLIENTS_COMPARISON_AUTH_SOURCE_H_

#include <string>

#include "api/auth.pb.h"
#include "tests/clients/comparison/draw.h"
#include "tests/clients/comparison/known.h"
#include "tests/clients/comparison/kv_source.h"
#include "tests/clients/comparison/release.h"

namespace quorate::differential {

class AuthSource {
 public:
  // All borrowed.
  AuthSource(Draw* draw, const Known* known, KvSource* kv, const Release& release)
      : draw_(*draw), known_(*known), kv_(*kv), release_(release) {}

  // A step of one of the Auth service's types, without its user. In place of AuthEnable
  // comes what that still lacks.
  Step Request(Type type);
  // Who sends a request: mostly somebody who may.
  std::string User();
  // Who sends a request that only root may.
  std::string Admin();
  // The login of a user with the right password.
  Step Login(const std::string& user);

 private:
  Step Enable();
  Step Authenticate();
  Step UserAdd();
  Step RevokeRole();
  Step GrantPermission();
  Step RevokePermission();
  std::string UserName();
  std::string RoleName();
  std::string Password();

  Draw& draw_;
  const Known& known_;
  KvSource& kv_;
  const Release release_;
};

}  // namespace quorate::differential

#endif  // QUORATE_TESTS_CLIENTS_COMPARISON_AUTH_SOURCE_H_
