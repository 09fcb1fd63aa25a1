-- The nicknames that occupants (occupant.lib.lua) have in rooms. All hosts of this server share them: each host has an instance of
-- this module.

local by_address = setmetatable(module:shared("/*/post_msg/nicknames"), { __mode = "v" }); -- room/nickname → occupant

-- The address of an occupant in a room (XEP-0045, section 4.1).
local function address_of(room, nick) --> string
	return room.."/"..nick;
end

local function is_taken(room, nick) --> boolean
	return by_address[address_of(room, nick)] ~= nil;
end

-- Gives an occupant another nickname, or none (nil).
local function set(occupant, nick)
	local old = occupant.nick and address_of(occupant.room, occupant.nick);
	if old and by_address[old] == occupant then by_address[old] = nil; end
	occupant.nick = nick;
	if nick and not is_taken(occupant.room, nick) then by_address[address_of(occupant.room, nick)] = occupant; end
end

return { address_of = address_of; is_taken = is_taken; set = set };
