-- The storage `internal`, of which the next operations fail as often as `fails` of its host says: fails["STORE METHOD"] = count. Where
-- `raises` is true, they raise an error.

local internal = require "core.storagemanager".load_driver(module.host, "internal");

local fails = {};
local driver = { fails = fails; raises = false };

function driver.open(_, name, kind)
	local store, err = internal:open(name, kind);
	if not store then return nil, err; end
	return setmetatable({}, { __index = function (_, method)
		if type(store[method]) ~= "function" then return store[method]; end
		return function (_, ...)
			local left = fails[name.." "..method] or 0;
			if left > 0 then
				fails[name.." "..method] = left - 1;
				if driver.raises then error("as asked for"); end
				return nil, "as asked for";
			end
			return store[method](store, ...);
		end;
	end });
end

module:provides("storage", driver);
