-- What an account does with its own sending tokens, from a chat client or the page.

local auth, tokens, rules; -- given to init

-- `given` as tokens.lib.lua's `read` takes it, with `days` instead of `expires`.
local function add(username, given) --> token, id; or nil, the name of what is wrong, and perhaps a sentence in English
	given.expires = given.days and given.days ~= "" and given.days.."d" or nil;
	local entry, wrong, sentence = rules.read(given, os.time());
	if wrong == "expires" then
		return nil, "days", "the days until a token expires are a whole number, from 1 to 36500";
	elseif not entry then
		return nil, wrong, sentence;
	end
	local token, id = tokens.add(username, entry);
	if token then module:log("info", "%s@%s made the sending token %s", username, module.host, id); end
	return token, id;
end

local function list(username) --> { { id, entry }, … }, or nil
	return tokens.list(username, os.time());
end

local function revoke(username, id) --> true; or nil, "none" or "store"
	local found = list(username);
	if not found then return nil, "store"; end
	for _, token in ipairs(found) do
		if token.id == id then
			local _, wrong = tokens.revoke(id, os.time());
			if wrong then return nil, wrong; end
			auth.forget_tokens(username.."@"..module.host);
			module:log("info", "%s@%s revoked the sending token %s", username, module.host, id);
			return true;
		end
	end
	return nil, "none";
end

local function init(parts)
	auth, tokens, rules = parts.auth, parts.tokens, parts.rules;
	return { add = add; list = list; revoke = revoke };
end

return init;
