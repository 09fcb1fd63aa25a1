-- The sending tokens of this host, and of the other hosts that have the module: a token is good at each of them.

local config = module.import "config";
local counters = module.import "counters";
local native = module.import "native";
local token_store = module.import "token_store";
local turns = module.import "turns";

local tokens = token_store.new(module, { new_token = native.new_token; limit = config.token_limit; in_slices = turns.in_slices });

counters.register("token_uses", function () return tokens.uses.waiting_timers; end);

-- All hosts share this table.
local stores = module:shared("/*/post_msg/tokens"); -- host → its tokens
if config.auth_mechanisms:contains("Token") then stores[module.host] = tokens; end

local host_tokens = { own = tokens };

-- Looks for a token, first on this host. The problem has the `cause`: the error of a storage.
function host_tokens.find(id, now) --> entry, host; or nil if there is no valid token; or nil, problem
	local entry, first_problem = tokens:find(id, now);
	if entry then return entry, module.host; end
	for host, other_tokens in pairs(stores) do
		if other_tokens ~= tokens then
			local problem;
			entry, problem = other_tokens:find(id, now);
			if entry then return entry, host; end
			first_problem = first_problem or problem;
		end
	end
	return nil, first_problem;
end

-- Records that a token was used, for the list of tokens of its host.
function host_tokens.note_use(id, host, now)
	if stores[host] then stores[host]:note_use(id, now); end
end

-- Tokens of this host are not good any more while the module is not loaded here.
function host_tokens.close()
	if stores[module.host] == tokens then stores[module.host] = nil; end
end

return host_tokens;
