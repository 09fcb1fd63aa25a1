-- Requests with which an account manages its own sending tokens over HTTP, as the script of the page does.

local json = require "util.json";

local config = module.import "config";
local json_answer = module.import "json_answer";
local native = module.import "native";
local own_tokens = module.import "account_tokens";
local problems = module.import "problems";
local templates = module.import "templates";
local token_spec = module.import "token_spec";

local longest_body = 64 * 1024; -- bytes

local actions = {};

function actions.list(username) --> answer; or nil, problem
	local tokens = {};
	local ok, problem = own_tokens.each_row(username, function (row)
		row.signed, row.rate = nil, tonumber(row.rate);
		tokens[#tokens + 1] = json.encode(row);
	end);
	if not ok then return nil, problem; end
	return json_answer.new(200, '{"tokens":['..table.concat(tokens, ",").."]}");
end

function actions.add(username, fields) --> answer; or nil, problem
	local token, id, entry = own_tokens.add(username, fields);
	if not token then return nil, id; end
	-- The page knows its own URL, and puts it in place of {server}.
	local topic = not token_spec.has_one_address(entry) and "{recipient}" or nil;
	local enter = entry.as and templates:enter(entry.as, "{server}", topic, token);
	return json_answer.new(201, json.encode { token = token; id = id; enter = enter });
end

function actions.revoke(username, fields) --> answer; or nil, problem
	local ok, problem = own_tokens.revoke(username, fields.id or "");
	if not ok then return nil, problem; end
	return json_answer.new(200, json.encode { id = fields.id });
end

-- Tokens are managed with a password. The media type must be one that a page of another origin cannot post without a preflight
-- request (CORS).
local function check(exchange) --> true; or nil, problem
	local headers, sender = exchange.headers, exchange.sender;
	if not config.auth_mechanisms:contains("Token") then
		return nil, problems.new("absent", "this server takes no sending tokens (post_msg_auth_mechanisms)");
	elseif sender.token or sender.by_token then
		return nil, problems.new("forbidden", "a sending token can only send; sign in with the password to manage tokens");
	elseif sender.host ~= module.host then
		return nil, problems.new("forbidden", "the tokens of "..sender.account.." are made at "..sender.host);
	elseif not (headers.content_type or ""):lower():find("^application/json%s*%f[;%z]") or headers.content_encoding then
		return nil, problems.new("unsupported", "tokens are managed with a JSON object (application/json), which is not compressed");
	elseif #exchange.body > longest_body then
		return nil, problems.new("too_large", "a request about tokens has at most "..longest_body.." bytes");
	end
	return true;
end

-- A handler for requests of identified senders.
local function manage(exchange) --> answer; or nil, problem
	local ok, problem = check(exchange);
	if not ok then return nil, problem; end
	local fields;
	fields, problem = native.token_request(exchange.body);
	if not fields then return nil, problem; end
	local action = actions[fields.action];
	if not action then
		return nil, problems.new("unprocessable", "`action` is list, add or revoke, in a JSON object", { field = "action" });
	end
	return action(exchange.sender.username, fields);
end

return { manage = manage };
