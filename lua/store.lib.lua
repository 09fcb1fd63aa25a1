-- A store of this module. Prosody does not sync its files: when the machine loses power, one that was written in the seconds
-- before may be empty, or hold what is none of it. That is told in the log, and the entry counts as not there.

local datamanager = require "util.datamanager";
local envload = require "util.envload".envload;
local storagemanager = require "core.storagemanager";

-- `context` is the module API of a host. > as module:open_store gives, and whether it is shared with others
local function open(context, name)
	local host, store = context.host, context:open_store(name);
	local internal = select(2, storagemanager.get_driver(host, name)) == "internal";

	-- Whether an entry has a file that says nothing. One that cannot be read now, such as for want of file descriptors, is whole.
	local function is_torn(entry) --> boolean
		local file = internal and io.open(datamanager.getpath(entry, host, name), "rb");
		local text = file and file:read("*a");
		if file then file:close(); end
		if not text then return false; end
		local load = envload(text, "="..name, {});
		local ok, data = pcall(load or error);
		return not ok or data == nil;
	end

	return {
		shared = not internal;
		get = function (_, entry) --> entry; or nil and an error; or nil, nil and true
			local ok, found, err = pcall(store.get, store, entry);
			if not ok then found, err = nil, found; end
			if found or not is_torn(entry) then return found or nil, err; end -- false where there is no storage
			context:log("warn", "The entry %s of %s is torn, as by a loss of power, and is taken as not there", entry, name);
			return nil, nil, true;
		end;
		set = function (_, entry, data) --> true; or nil and an error
			local ok, done, err = pcall(store.set, store, entry, data);
			if not ok then return nil, done; end
			return done, err;
		end;
		users = function () --> as pairs gives; or nil
			local ok, names, state, first = pcall(store.users, store);
			if not ok or type(names) ~= "function" then return nil; end
			return names, state, first;
		end;
	};
end

return { open = open };
