-- Whether an IP address, or the name of an interface, can only be reached from this machine.
return function (address) --> boolean
	return address == "::1" or address == "localhost" or address:find("^127%.") ~= nil or address:find("^::ffff:127%.") ~= nil;
end
