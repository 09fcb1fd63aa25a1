-- The page on which people try this module, and what only it asks for: files, dry runs, the account's own tokens.

local json = require "util.json";
local sha256 = require "util.hashes".sha256;

local compose = module.import "compose";
local config = module.import "config";
local delivery = module.import "delivery";
local native = module.import "native";
local own_tokens = module.import "account_tokens";
local problems = module.import "problems";
local scheduler = module.import "scheduler";
local server = module.import "prosody";
local uploads = module.import "uploads";

local base = server.base_path(module.host);

local most_shown, most_bytes_shown = 100, 64 * 1024; -- of what a dry run would send
local longest_given = 64 * 1024; -- bytes of a request about tokens

-- Nothing of anybody else, nothing inline; credentials go where the script sends them, which is here.
local page_headers = {
	content_security_policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
		.."form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
	x_content_type_options = "nosniff";
	referrer_policy = "no-referrer";
};

-- Files

local files = {}; -- name → { text, media_type, etag }

local function add_file(name, text, media_type)
	files[name] = { text = text; media_type = media_type; etag = '"'..sha256(text, true):sub(1, 32)..'"' };
end

-- Whether If-None-Match names it (RFC 9110, section 13.1.2).
local function is_known(if_none_match, etag) --> boolean
	return if_none_match == "*" or if_none_match:find(etag, 1, true) ~= nil;
end

local function serve(exchange, name) --> answer
	local file = files[name];
	local headers = { etag = file.etag; cache_control = "no-cache"; vary = "Accept, Origin" };
	for header, value in pairs(page_headers) do headers[header] = value; end
	if exchange.headers.if_none_match and is_known(exchange.headers.if_none_match, file.etag) then
		return { status_code = 304; headers = headers };
	end
	headers.content_type = file.media_type;
	return { status_code = 200; headers = headers; body = file.text };
end

-- What the path of a request says below the base path.
local function rest_of(request) --> string
	local rest = request.path:sub(#base + 1);
	return base == "" and rest == "/" and "" or rest;
end

-- The file that a path names: of the base path, what Accept asks for.
local function file_at(rest, accept) --> name, or nil
	if rest == "" then
		return files["page.html"] and accept and native.wants_html(accept) and "page.html" or "openapi.json";
	end
	local name = rest:match("^/([%w.]+)$");
	return name ~= "page.html" and files[name] and name or nil;
end

-- What only the script asks for

local function answer_json(status, text) --> answer
	return {
		status_code = status; body = text;
		headers = { content_type = "application/json"; cache_control = "no-store" };
	};
end

-- What a request would send, or the beginning of that. Nothing is sent, uploaded or counted.
local function try(exchange) --> answer; or nil, problem
	local sender = exchange.sender;
	local batch, problem = compose.read(exchange, { path = base; takes_files = false });
	if not batch then
		if problem.status == 415 and not exchange.format and uploads.takes_files(sender) then
			problem = problems.new("unprocessable", "a dry run takes no files: nothing is uploaded", { field = "file" });
		end
		return nil, problem;
	end
	local total;
	total, problem = delivery.resolve(sender, batch);
	if not total then return nil, problem; end
	local messages, bytes, more = {}, 0, "";
	for message in batch.next, batch do
		local shown = tostring(message);
		bytes = bytes + #shown;
		-- util.json takes 40 ms for a megabyte.
		messages[#messages + 1] = ('{"to":%s,"stanza":%s}'):format(native.json_text(message.attr.to), native.json_text(shown));
		if #messages == most_shown or bytes > most_bytes_shown or not scheduler.breathe(sender.account) then break; end
	end
	batch:release();
	if total > #messages then more = (',"more":%d'):format(total - #messages); end
	return answer_json(200, '{"messages":['..table.concat(messages, ",").."]"..more.."}");
end

local actions = {};

function actions.list(username) --> answer; or nil, problem
	local tokens = {};
	local ok, problem = own_tokens.each_row(username, function (row)
		row.signed, row.rate = nil, tonumber(row.rate);
		tokens[#tokens + 1] = json.encode(row);
	end);
	if not ok then return nil, problem; end
	return answer_json(200, '{"tokens":['..table.concat(tokens, ",").."]}");
end

function actions.add(username, given) --> answer; or nil, problem
	local token, id = own_tokens.add(username, given);
	if not token then return nil, id; end
	return answer_json(201, json.encode { token = token; id = id });
end

function actions.revoke(username, given) --> answer; or nil, problem
	local ok, problem = own_tokens.revoke(username, given.id or "");
	if not ok then return nil, problem; end
	return answer_json(200, json.encode { id = given.id });
end

-- The account's own tokens: for a password, not for a token. Of the media type that no page of another origin can post without
-- being asked (CORS).
local function manage(exchange) --> answer; or nil, problem
	local headers, sender = exchange.headers, exchange.sender;
	if not config.auth_mechanisms:contains("Token") then
		return nil, problems.new("absent", "this server takes no sending tokens (post_msg_auth_mechanisms)");
	elseif sender.token or sender.by_token then
		return nil, problems.new("forbidden", "a sending token can only send, and no token makes others; sign in with the password");
	elseif sender.host ~= module.host then
		return nil, problems.new("forbidden", "the tokens of "..sender.account.." are made at "..sender.host);
	elseif not (headers.content_type or ""):lower():find("^application/json%s*%f[;%z]") or headers.content_encoding then
		return nil, problems.new("unsupported", "tokens are managed with a JSON object (application/json), which is not compressed");
	elseif #exchange.body > longest_given then
		return nil, problems.new("too_large", "a request about tokens has at most "..longest_given.." bytes");
	end
	local given, problem = native.token_request(exchange.body);
	if not given then return nil, problem; end
	local action = actions[given.action or ""];
	if not action then
		return nil, problems.new("unprocessable", "`action` is list, add or revoke, in a JSON object", { field = "action" });
	end
	return action(sender.username, given);
end

if config.page then
	for _, file in ipairs(native.page_files()) do
		-- Relative, so that a proxy may serve all of it elsewhere.
		local folder = base == "" and "." or base:match("[^/]*$");
		add_file(file.name, (file.text:gsub("{{base}}", (folder:gsub("%%", "%%%%")))), file.media_type);
	end
end
add_file("openapi.json", native.openapi(base, module.host), "application/json");

local paths = { "" }; -- below the base path, of what is served
for name in pairs(files) do
	if name ~= "page.html" then paths[#paths + 1] = " /"..name; end
end

return { file_at = file_at; rest_of = rest_of; serve = serve; paths = paths; try = try; manage = manage };
