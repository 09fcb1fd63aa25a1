-- Problems of credentials: why a request has no sender.

local config = module.import "config";
local problems = module.import "problems";
local server = module.import "prosody";
local show = module.import "display".show;

local auth_problems = {};

-- The schemes of credentials that this host accepts (RFC 9110, section 11.6.1).
local function challenges() --> string
	local mechanisms, schemes = config.auth_mechanisms, {};
	-- A sending token is accepted as the password of Basic, so it needs no Bearer.
	if mechanisms:contains("Basic") or mechanisms:contains("Token") then
		schemes[#schemes + 1] = ("Basic realm=\"%s\", charset=\"UTF-8\""):format(module.host);
	end
	local has_tokens = mechanisms:contains("Bearer") and server.tokenauth(module.host);
	if has_tokens or not mechanisms:contains("Basic") then
		schemes[#schemes + 1] = ("Bearer realm=\"%s\""):format(module.host);
	end
	return table.concat(schemes, ", ");
end

-- The kind is one with the status 401.
function auth_problems.unauthorized(kind, detail) --> problem
	return problems.new(kind, detail, { headers = { www_authenticate = challenges() } });
end

function auth_problems.wrong_password() --> problem
	return auth_problems.unauthorized("unauthorized", "the address or password is wrong, or the account does not exist here or is disabled");
end

function auth_problems.unreadable_account() --> problem
	return problems.new("unavailable", "the server cannot check now whether the account exists; try again");
end

function auth_problems.throttled(seconds) --> problem
	return problems.new("throttled", ("too many failed attempts; try again in %d seconds"):format(seconds), { retry_after = seconds });
end

-- The fail2ban rules for Prosody match this log line. The account is shortened, so that the line always has the IP address.
function auth_problems.log_failure(problem, account, ip) --> problem
	problem.log = ("Failed authentication attempt (not-authorized) for user %s from IP: %s"):format(show(account), ip);
	return problem;
end

-- Counts a wrong token for the client's address. `account` is the account that the token claims, or a word for the log; `id`: the id
-- of a sending token, if it is known; `detail`: why it is wrong, if that says nothing about valid tokens.
function auth_problems.wrong_token(exchange, account, id, detail) --> problem
	local seconds = exchange.native:refuse_token();
	if seconds then return auth_problems.throttled(seconds); end
	detail = detail or (id and "token "..id or "the token").." is not valid, or not valid any more; a sending token is good at each host with"
		.." mod_post_msg of the server that made it, and another token at the host of its account";
	return auth_problems.log_failure(auth_problems.unauthorized("unauthorized", detail), account, exchange.ip);
end

-- The same for a text that does not have the form of a sending token.
function auth_problems.incomplete_token(exchange) --> problem
	return auth_problems.wrong_token(exchange, "(token)", nil,
		"the sending token is not complete, or was changed; it begins with pmsg_, and is one word of 55 characters");
end

return auth_problems;
