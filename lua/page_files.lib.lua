-- Serves files: the page on which people try this module, and the description of its HTTP interface (OpenAPI).

local sha256 = require "util.hashes".sha256;

local config = module.import "config";
local native = module.import "native";
local server = module.import "prosody";

local base = server.base_path(module.host);

-- The page loads nothing from other servers and nothing inline; its script sends credentials to this server only.
local page_headers = {
	content_security_policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
		.."form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
	x_content_type_options = "nosniff";
	referrer_policy = "no-referrer";
};

local files = {}; -- name → { text, media_type, etag }

local function add_file(name, text, media_type)
	files[name] = { text = text; media_type = media_type; etag = '"'..sha256(text, true):sub(1, 32)..'"' };
end

-- The text of a file, with the folder of the files and the host.
local function fill(text, folder) --> text
	return (text:gsub("{{(%l+)}}", { base = folder; host = module.host }));
end

-- Links of the page are relative, so that a proxy can serve the page under another path. At the base path with a slash, the page is
-- "page.html/", whose links begin in another folder.
local function add_page()
	for _, file in ipairs(native.page_files()) do
		add_file(file.name, fill(file.text, base:match("[^/]*$")), file.media_type);
		if file.name == "page.html" then add_file("page.html/", fill(file.text, "."), file.media_type); end
	end
end

if config.page then add_page(); end
add_file("openapi.json", native.openapi(base, module.host), "application/json");

-- Whether the client has a file already (RFC 9110, section 13.1.2).
local function is_known(if_none_match, etag) --> boolean
	return if_none_match ~= nil and (if_none_match == "*" or if_none_match:find(etag, 1, true) ~= nil);
end

-- The name of the file at the path of a request. At the base path, it depends on what the request prefers.
local function find(exchange) --> name, or nil
	local rest = exchange.request.path:sub(#base + 1);
	if rest == "" or rest == "/" then
		return config.page and exchange.native:wants_html() and "page.html"..rest or "openapi.json";
	end
	local name = rest:match("^/([%w.]+)$");
	return name ~= "page.html" and files[name] and name or nil;
end

local function has(exchange) --> boolean: whether there is a file at the path of a request
	return find(exchange) ~= nil;
end

-- A handler for the paths of the files.
local function get(exchange) --> answer
	local file = files[find(exchange)];
	local headers = { etag = file.etag; cache_control = "no-cache"; vary = "Accept, Origin" };
	for header, value in pairs(page_headers) do headers[header] = value; end
	if is_known(exchange.headers.if_none_match, file.etag) then
		return { status_code = 304; headers = headers };
	end
	headers.content_type = file.media_type;
	return { status_code = 200; headers = headers; body = file.text };
end

-- The paths of all files, as in the name of a route of mod_http: nothing, or a space and the path below the base path.
local paths = { "" };
if base ~= "" then paths[2] = " /"; end
for name in pairs(files) do
	if not name:find("^page%.html") then paths[#paths + 1] = " /"..name; end
end

return { get = get; has = has; paths = paths };
