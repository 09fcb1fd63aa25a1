-- Credentials of a request → its sender.

local auth_problems = module.import "auth_problems";
local bearer_tokens = module.import "bearer_tokens";
local config = module.import "config";
local is_loopback = module.import "loopback";
local metrics = module.import "metrics";
local passwords = module.import "passwords";
local problems = module.import "problems";
local sender_tokens = module.import "sender_tokens";
local tokens = module.import "host_tokens".own;

local takes_passwords = config.auth_mechanisms:contains("Basic");
local takes_sending_tokens = config.auth_mechanisms:contains("Token");
local count_credentials = metrics.counter("credentials");

local function no_passwords() --> problem
	return auth_problems.unauthorized("unauthorized", "this server takes no passwords; send a token (Bearer)");
end

-- Kinds of credentials, as `identify` of the native request returns them → function (exchange, value) --> sender; or nil, problem
local sender_finders = {};

function sender_finders.nothing() return nil, auth_problems.unauthorized("no_credentials"); end
function sender_finders.several() return nil, problems.new("ambiguous_credentials"); end

function sender_finders.nobody(exchange)
	if not exchange.headers.authorization then return nil, auth_problems.incomplete_token(exchange); end
	return nil, takes_passwords and auth_problems.wrong_password() or no_passwords();
end

function sender_finders.token(exchange, token)
	if takes_sending_tokens then return sender_tokens.sender_of(exchange, token); end
	return nil, auth_problems.wrong_token(exchange, "token:"..token.id, nil, "this host takes no sending tokens (post_msg_auth_mechanisms)");
end

function sender_finders.bearer(exchange, token)
	if token:find("^pmsg_") then return nil, auth_problems.incomplete_token(exchange); end
	return bearer_tokens.sender_of(exchange, token);
end

function sender_finders.sender(_, address)
	if not takes_passwords then return nil, no_passwords(); end
	return passwords.cached_sender(address);
end

function sender_finders.throttled(_, seconds)
	return nil, takes_passwords and auth_problems.throttled(seconds) or no_passwords();
end

function sender_finders.attempt(exchange, attempt)
	if not takes_passwords then return nil, no_passwords(); end
	return passwords.sender_of(exchange, attempt);
end

local function identify(exchange) --> sender; or nil, problem
	local kind, value = exchange.native:identify();
	local format_of_body;
	if kind == "nothing" and exchange.body then
		-- Pushover's programs, for example, send their token in the body.
		local found_kind, found_value;
		format_of_body, found_kind, found_value = exchange.native:identify_by_body(exchange.path, exchange.body);
		if format_of_body then kind, value = found_kind, found_value; end
	end
	if config.require_encryption and kind ~= "nothing" and not exchange.request.secure and not is_loopback(exchange.ip) then
		return nil, problems.new("forbidden", "credentials are taken over HTTPS only (post_msg_require_encryption)");
	end
	local sender, problem = sender_finders[kind](exchange, value);
	if sender and format_of_body and sender.as ~= format_of_body then
		-- Another template could show the token.
		return nil, problems.new("forbidden", ("token %s may not be sent in the body: it is not for %s alone"):format(sender.token, format_of_body));
	end
	if sender and sender.webhook_secret and exchange.body then
		local ok;
		ok, problem = sender_tokens.check_signature(exchange, sender);
		if not ok then return nil, problem; end
	end
	return sender, problem;
end

-- The `result` label of the credentials metric, by the kind of the problem.
local results = {
	no_credentials = "missing"; unauthorized = "wrong"; ambiguous_credentials = "ambiguous"; forbidden = "forbidden";
	throttled = "throttled"; busy = "unavailable"; unavailable = "unavailable"; unloaded = "unavailable";
};

local function authenticate(exchange) --> sender; or nil, problem
	local sender, problem = identify(exchange);
	count_credentials(1, sender and "accepted" or results[problem.kind]);
	return sender, problem;
end

local methodless = { sender = true; throttled = true; attempt = true; nothing = true };

-- Whether a request has a sending token, or what could be one: nothing else may send by GET.
local function has_token(exchange) --> boolean
	local kind, value = exchange.native:identify();
	if kind == "bearer" then return value:find("^pmsg_") ~= nil; end
	return not methodless[kind] and (kind ~= "nobody" or not exchange.headers.authorization);
end

-- Forgets the cached credentials of an account that has changed.
local function forget(event)
	local account = event.username.."@"..event.host;
	passwords.forget(account);
	sender_tokens.forget(account);
end

for _, event in ipairs {
	"user-password-changed", "user-deleted", "user-disabled", "user-role-changed";
	"user-roles-changed"; -- COMPAT 0.12
} do
	module:hook_global(event, forget);
end
module:hook_global("user-deleted", function (event)
	if event.host == module.host then tokens:forget_account(event.username); end
end);

return { authenticate = authenticate; has_token = has_token };
