-- Problems: why a request is refused, or why a message failed. A function that fails returns nil and a problem; the handler turns the
-- problem into the answer. Each kind is declared here, once, with its status and other members that every problem of the kind has.

local display = module.import "display";

-- The first group is in the order in which the handler looks for them. A request with several problems gets the first in this order:
-- method, framing, credentials, media type, size, syntax, meaning.
local kinds = {
	method_not_allowed = { status = 405; detail = "messages are sent with POST or PUT" };
	bad_framing = { status = 400 };
	unknown_coding = { status = 501 };
	ambiguous_credentials = { status = 400; detail = "the request has two different credentials; send one" };
	foreign_origin = { status = 403; detail = "a page of another site may not post here; its origin is not in post_msg_allow_origins" };
	no_credentials = {
		status = 401;
		detail = "credentials are needed: an account's address and password, or a sending token, as in: curl -u user@example.com:password";
	};
	unauthorized = { status = 401 };
	forbidden = { status = 403 };
	throttled = { status = 429 };
	absent = { status = 404 };
	unsupported = { status = 415 };
	too_large = { status = 413 };
	malformed = { status = 400 };
	unprocessable = { status = 422 };
	broken_template = { status = 503; field = "as" };
	token_limit = { status = 422; detail = "the account has as many tokens as it may have (post_msg_token_limit); revoke one" };
	key_limit = { status = 503; detail = "too many idempotency keys of this account are kept; try again later, or without a key" }; -- for hours
	unknown_token = { status = 404; field = "id"; detail = "the account has no token with this id" };
	conflict = { status = 409 };
	-- Failures of messages.
	not_found = { status = 404; condition = "item-not-found" };
	gone = { status = 410; condition = "gone" };
	removed = { status = 403; condition = "forbidden" };
	bad_gateway = { status = 502 };
	foreign_error = { status = 502; condition = "internal-server-error" };
	gateway_timeout = { status = 504 };
	remote_timeout = { status = 504; condition = "remote-server-timeout" };
	-- Temporary conditions.
	unloaded = { status = 503; detail = "the module was unloaded meanwhile; try again" };
	busy = { status = 503; retry_after = 1 };
	overloaded = { status = 503; condition = "resource-constraint" };
	unavailable = { status = 503; retry_after = 5 };
	tokens_unavailable = { status = 503; retry_after = 5; detail = "the tokens cannot be read or written now; try again" };
	unsent = { status = 503 };
	defect = { status = 500; detail = "a defect of mod_post_msg; the server's log says more" };
};

local problems = {};

-- `members`: further members: `field`, `condition`, `retry_after` (seconds), `headers` of the answer, `log` (the text for the log
-- instead of the detail), `temporary`, `unsent` (the message was not routed), `unreached` (the message did not reach the recipient's server).
function problems.new(kind, detail, members) --> problem
	local problem = {};
	for name, value in pairs(kinds[kind]) do problem[name] = value; end
	problem.kind = kind;
	problem.detail = detail or problem.detail;
	for name, value in pairs(members or {}) do problem[name] = value; end
	return problem;
end

-- A problem that has the status of an earlier answer, or of another server's answer.
function problems.of_status(status, detail) --> problem
	return { kind = "status"; status = status; detail = detail };
end

-- Stanza errors → statuses (RFC 6120, section 8.3.3).
local status_of = {
	["item-not-found"] = 404; ["recipient-unavailable"] = 404; ["service-unavailable"] = 404;
	["gone"] = 410; ["redirect"] = 410;
	["forbidden"] = 403; ["not-allowed"] = 403; ["not-authorized"] = 403; ["registration-required"] = 403;
	["subscription-required"] = 403; ["policy-violation"] = 403; ["payment-required"] = 403;
	["conflict"] = 409;
	["remote-server-not-found"] = 502; ["internal-server-error"] = 502;
	["remote-server-timeout"] = 504;
	["resource-constraint"] = 503;
	["bad-request"] = 422; ["jid-malformed"] = 422; ["not-acceptable"] = 422;
	["feature-not-implemented"] = 502; ["undefined-condition"] = 502; ["unexpected-request"] = 502;
};

-- Conditions of a message that never left this server, because the recipient's server could not be reached.
local unreachable = { ["remote-server-not-found"] = true; ["remote-server-timeout"] = true };

-- What a condition without a text usually means, for people who do not know XMPP.
local meanings = {
	["service-unavailable"] = "there is no such account, or it takes no messages now";
	["item-not-found"] = "there is no such address";
	["remote-server-not-found"] = "there is no such server";
};

-- The problem of a stanza of type "error", about a stanza that was sent to `to`. The error's text is that of another server or client.
function problems.of_error(stanza, to) --> problem
	local type, condition, text = stanza:get_error();
	if not status_of[condition] then condition = "undefined-condition"; end
	local meaning = to:find("@", 1, true) and meanings[condition];
	local words = text and text ~= "" and " ("..display.show(text)..")" or meaning and "; "..meaning or "";
	return {
		kind = "stanza_error"; status = status_of[condition]; condition = condition;
		temporary = type == "wait"; -- RFC 6120, section 8.3.2
		unreached = unreachable[condition];
		detail = ("%s: %s%s"):format(to, condition, words);
	};
end

return problems;
