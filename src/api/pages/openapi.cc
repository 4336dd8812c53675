// OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.0) from the tables of routes and errors, and the schemas beside this
// file.
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <map>
#include <set>
#include <string>

#include "api/pages/web/embedded.h"
#include "api/routes.h"
#include "transport/errors.h"

namespace rerank::api {
namespace {

using Json = rapidjson::Value;

class Builder {
 public:
  Builder() { root_.SetObject(); }

  std::string build(bool needs_key, bool metrics_apart) {
    Json info(rapidjson::kObjectType);
    add(info, "title", text("rerankd"));
    add(info, "version", text(RERANKD_VERSION));
    add(info, "description",
        text("Puts the best documents first. Any prefix may stand before a path: /v1, /v2, that of a proxy. Which "
             "client's dialect a rerank request speaks is seen from its body."));
    add(root_, "openapi", text("3.1.0"));
    add(root_, "info", std::move(info));
    Json paths(rapidjson::kObjectType);
    for (const auto& [path, rows] : by_path(metrics_apart)) {
      Json item(rapidjson::kObjectType);
      for (const Route* route : rows)
        add(item, route->method[0] == 'G' ? "get" : "post", operation(path, *route, needs_key));
      add(paths, path.c_str(), std::move(item));
    }
    add(root_, "paths", std::move(paths));
    Json components(rapidjson::kObjectType);
    rapidjson::Document schemas(&root_.GetAllocator());
    schemas.Parse(kOpenapiSchemas.data(), kOpenapiSchemas.size());
    add(components, "schemas", std::move(schemas));
    if (needs_key) {
      Json bearer = object({{"type", "http"}, {"scheme", "bearer"}});
      Json schemes(rapidjson::kObjectType);
      add(schemes, "key", std::move(bearer));
      add(components, "securitySchemes", std::move(schemes));
    }
    add(root_, "components", std::move(components));
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
    root_.Accept(writer);
    return {buffer.GetString(), buffer.GetSize()};
  }

 private:
  // "rerank" is /rerank, "models/*" is /models/{name}, "/" is itself.
  static std::string path_of(const Route& route) {
    std::string path = route.pattern;
    if (path != "/") path = "/" + path;
    if (path.ends_with("*")) path.replace(path.size() - 1, 1, "{name}");
    return path;
  }

  static std::map<std::string, std::vector<const Route*>> by_path(bool metrics_apart) {
    std::map<std::string, std::vector<const Route*>> found;
    for (const Route& route : routes()) {
      if ((metrics_apart && route.reach == Reach::kOperators) || route.reach == Reach::kAdmin) continue;
      auto& rows = found[path_of(route)];
      bool shadowed = false;  // by an earlier row that takes every request this one would
      for (const Route* row : rows) shadowed |= std::string_view(row->method) == route.method;
      if (!shadowed) rows.push_back(&route);
    }
    return found;
  }

  Json operation(const std::string& path, const Route& route, bool needs_key) {
    Json made(rapidjson::kObjectType);
    add(made, "summary", text(route.summary));
    add(made, "operationId", text((std::string(route.method[0] == 'G' ? "get" : "post") + path).c_str()));
    if (path.ends_with("{name}")) {
      Json parameter = object({{"name", "name"}, {"in", "path"}});
      add(parameter, "required", Json(true));
      Json schema = object({{"type", "string"}});
      add(schema, "minLength", Json(1));
      add(parameter, "schema", std::move(schema));
      Json list(rapidjson::kArrayType);
      list.PushBack(parameter, root_.GetAllocator());
      add(made, "parameters", std::move(list));
    }
    if (route.request) {
      Json body(rapidjson::kObjectType);
      add(body, "required", Json(true));
      add(body, "content", content("application/json", route.request));
      add(made, "requestBody", std::move(body));
    }
    add(made, "responses", responses(route, needs_key));
    if (needs_key && route.key == Key::kNeeded) {
      Json wanted(rapidjson::kObjectType), list(rapidjson::kArrayType);
      add(wanted, "key", Json(rapidjson::kArrayType));
      list.PushBack(wanted, root_.GetAllocator());
      add(made, "security", std::move(list));
    }
    return made;
  }

  Json responses(const Route& route, bool needs_key) {
    Json made(rapidjson::kObjectType);
    const bool media = std::string_view(route.answer).find('/') != std::string_view::npos;
    Json good = object({{"description", "Done"}});
    add(good, "content", media ? content(route.answer, nullptr) : content("application/json", route.answer));
    add(made, "200", std::move(good));
    std::set<int> statuses = {408, 431};
    if (route.request) statuses.insert({400, 413, 415, 417, 422});
    if (route.request && std::string_view(route.pattern) == "models/*") statuses.insert(404);
    if (std::string_view(route.label) == "decode") statuses.insert(501);
    if (route.request && std::string_view(route.label) != "tokenize" && std::string_view(route.label) != "decode")
      statuses.insert({424, 429, 500, 503, 504});
    if (std::string_view(route.label) == "health") statuses.insert(503);
    if (needs_key && route.key == Key::kNeeded) statuses.insert(401);
    for (int status : statuses) {
      Json bad = object({{"description", std::string(transport::meaning_of(status)).c_str()}});
      add(bad, "content", content("application/json", "Error"));
      add(made, std::to_string(status).c_str(), std::move(bad));
    }
    return made;
  }

  Json content(const char* media, const char* schema) {
    Json made(rapidjson::kObjectType), type(rapidjson::kObjectType), reference(rapidjson::kObjectType);
    if (schema) {
      add(reference, "$ref", text((std::string("#/components/schemas/") + schema).c_str()));
      add(type, "schema", std::move(reference));
    }
    add(made, media, std::move(type));
    return made;
  }

  Json object(std::initializer_list<std::pair<const char*, const char*>> fields) {
    Json made(rapidjson::kObjectType);
    for (const auto& [name, value] : fields) add(made, name, text(value));
    return made;
  }

  Json text(const char* words) { return Json(words, root_.GetAllocator()); }
  void add(Json& to, const char* name, Json&& value) { to.AddMember(text(name), value, root_.GetAllocator()); }

  rapidjson::Document root_;
};

}  // namespace

std::string openapi_json(bool needs_key, bool metrics_apart) { return Builder().build(needs_key, metrics_apart); }

}  // namespace rerank::api
