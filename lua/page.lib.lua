-- The page on which people try this module, and what only it asks for: files, dry runs, the account's own tokens.

local array = require "util.array";
local datetime = require "util.datetime";
local json = require "util.json";
local sha256 = require "util.hashes".sha256;

local native, waiting, owner, read, base; -- given to init

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

local function serve(request, name) --> answer
	local file = files[name];
	local headers = { etag = file.etag; cache_control = "no-cache"; vary = "Accept" };
	for header, value in pairs(page_headers) do headers[header] = value; end
	if request.headers.if_none_match and is_known(request.headers.if_none_match, file.etag) then
		return { status_code = 304; headers = headers };
	end
	headers.content_type = file.media_type;
	return { status_code = 200; headers = headers; body = file.text };
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

local function answer_json(status, value) --> answer
	return {
		status_code = status; body = json.encode(value);
		headers = { content_type = "application/json"; cache_control = "no-store" };
	};
end

-- What a request would send. Nothing is sent, uploaded or counted.
local function try(request, sender) --> problem, answer
	local stanza, problem, batch = read(request, sender, nil, false, base);
	if problem then return problem; end
	local messages = array();
	local function show(message)
		messages:push { to = message.attr.to; stanza = tostring(message) };
	end
	if stanza then show(stanza); end
	if batch then
		local ticket = batch:ticket();
		if ticket and not waiting.await(ticket) then return waiting.unloaded; end
		local done;
		repeat
			done, problem = batch:resolve();
			if problem then return problem; end
			if not done and not waiting.breathe() then return waiting.unloaded; end
		until done;
		for message in batch.next, batch do
			show(message);
			if not waiting.breathe() then return waiting.unloaded; end
		end
	end
	return nil, answer_json(200, { messages = messages });
end

local function shown(token)
	local entry = token.entry;
	local function time(when) return when and datetime.datetime(when) or nil; end
	return {
		id = token.id; label = entry.label; to = entry.to; as = entry.as; rate = entry.rate; expires = time(entry.expires);
		made = time(entry.made); used = time(entry.used);
	};
end

local unstored = { status = 503; detail = "the tokens cannot be read or written now; try again"; retry_after = 5 };

local actions = {
	list = function (username) --> problem, answer
		local found = owner.list(username);
		if not found then return unstored; end
		local tokens = array();
		for _, token in ipairs(found) do tokens:push(shown(token)); end
		return nil, answer_json(200, { tokens = tokens });
	end;
	add = function (username, given)
		local function text(name) return type(given[name]) == "string" and given[name] or nil; end
		local to = {};
		for index, address in ipairs(type(given.to) == "table" and given.to or {}) do to[index] = tostring(address); end
		local days = text("days");
		local token, id, sentence = owner.add(username, {
			label = text("label"); to = to; as = text("as"); rate = text("rate"); expires = days and days ~= "" and days.."d" or nil;
		});
		if token then return nil, answer_json(201, { token = token; id = id }); end
		if id == "store" then return unstored; end
		if id == "full" then
			return { status = 422; detail = "the account has as many tokens as it may have (post_msg_token_limit); revoke one" };
		end
		if id == "expires" then
			id, sentence = "days", "the days until a token expires are a whole number, from 1 to 36500";
		end
		return { status = 422; field = id; detail = sentence };
	end;
	revoke = function (username, given)
		local ok, wrong = owner.revoke(username, given.id);
		if ok then return nil, answer_json(200, { id = given.id }); end
		return wrong == "store" and unstored or { status = 404; field = "id"; detail = "the account has no token with this id" };
	end;
};

-- The account's own tokens: for a password, not for a token that can only send.
local function manage(request, sender) --> problem, answer
	if sender.token then
		return { status = 403; detail = "a sending token can only send; sign in with the password" };
	elseif sender.host ~= module.host then
		return { status = 403; detail = "the tokens of "..sender.account.." are made at http://"..sender.host };
	end
	local given = json.decode(request.body or "");
	local action = type(given) == "table" and actions[given.action];
	if not action then
		return { status = 422; field = "action"; detail = "`action` is list, add or revoke, in a JSON object" };
	end
	return action(sender.username, given);
end

local function init(parts)
	native, waiting, owner, read, base = parts.native, parts.waiting, parts.owner, parts.read, parts.base;
	if parts.page then
		for _, file in ipairs(native.page_files()) do
			add_file(file.name, (file.text:gsub("{{base}}", (base:gsub("%%", "%%%%")))), file.media_type);
		end
	end
	add_file("openapi.json", native.openapi(base, module.host), "application/json");
	local paths = { "" }; -- below the base path, of what is served
	for name in pairs(files) do
		if name ~= "page.html" then paths[#paths + 1] = " /"..name; end
	end
	return { file_at = file_at; serve = serve; paths = paths; try = try; manage = manage };
end

return init;
