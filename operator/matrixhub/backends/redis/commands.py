"""What a tenant may call, and the rule language in which Redis describes what a user may call. Pure.

The list is an allow-list of single commands, never of categories: Redis 7.2 evaluates a category again
whenever a module is loaded, and a later Redis may put a keyspace-wide command into any of them.
What is left out, and why, stands in README.md; a test walks every command of the real server.
"""

from collections.abc import Iterable, Mapping


def _names(table: str) -> frozenset[str]:
    return frozenset(word for line in table.splitlines() for word in line.partition("#")[0].split())


ALLOWED = _names("""
    # Key-scoped: Redis checks every key, also one that a script or an option (STORE, GET, BY) names.
    append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetnx psetex set
    setex setnx setrange strlen substr
    hdel hexists hget hgetall hincrby hincrbyfloat hkeys hlen hmget hmset hrandfield hscan hset hsetnx hstrlen hvals
    blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange lrem lset
    ltrim rpop rpoplpush rpush rpushx
    sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop srandmember
    srem sscan sunion sunionstore
    bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore zlexcount zmpop
    zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore zrank zrem zremrangebylex
    zremrangebyrank zremrangebyscore zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan zscore zunion zunionstore
    bitcount bitfield bitfield_ro bitop bitpos getbit setbit
    pfadd pfcount pfmerge
    geoadd geodist geohash geopos georadius_ro georadiusbymember_ro geosearch geosearchstore
    xack xadd xautoclaim xclaim xdel xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy
    xgroup|setid xinfo|consumers xinfo|groups xinfo|stream xlen xpending xrange xread xreadgroup xrevrange xsetid xtrim
    del exists expire expireat expiretime memory|usage object|encoding object|freq object|idletime object|refcount
    persist pexpire pexpireat pexpiretime pttl rename renamenx sort touch ttl type unlink
    # Key-scoped too: hash field expiry of Redis 7.4, and what 8.0 added to it.
    hexpire hexpireat hexpiretime hpersist hpexpire hpexpireat hpexpiretime hpttl httl hgetdel hgetex hsetex
    # Scripts run with the caller's rights: every key and every command inside is checked against them.
    eval eval_ro evalsha evalsha_ro script|exists script|load
    # Channel-scoped; a pattern has to be the user's own, literally.
    psubscribe publish spublish ssubscribe subscribe
    # The caller's own connection and transaction, and facts about the server's version.
    punsubscribe sunsubscribe unsubscribe discard exec multi unwatch watch
    acl|whoami auth client|getname client|id client|info client|reply client|setinfo client|setname command echo
    hello ping quit reset time
""")
"""Commands of every tenant; one that a server does not know is not granted there."""

CLUSTER_ALLOWED = _names("asking cluster|keyslot cluster|nodes cluster|shards cluster|slots readonly readwrite")
"""What a client needs beside them to find its way in Redis Cluster: addresses and slots, no key names."""

GATEWAY = _names("""
    # Between the gateways: messages, requests and answers on channels of their prefix.
    ping publish subscribe unsubscribe pubsub|numsub
    # Whether a server that a sentinel names is the master.
    role
    # The last event of cache channels, and which idempotency keys were seen, under keys of their prefix.
    del exists expire get set setex ttl eval evalsha script|load
    auth hello client|setinfo
""")
"""Commands of the gateways (sockudo 5.2.0, as it called them and as its source has them)."""

ADMIN = _names("""
    acl|cat acl|deluser acl|getuser acl|setuser acl|whoami client|kill cluster|nodes eval exec info multi scan unlink
""")
"""What the operator's own user cannot do without."""

SCRIPTS = frozenset(name for name in ALLOWED if name.startswith(("eval", "script|")))

PROBE = "return pcall(function() getmetatable('').__matrixhub = nil end) and 1 or 0"
"""A script that answers 1 where scripts can change the interpreter for those who come after, and changes nothing.

CVE-2025-46818: a tenant would plant a function in the metatable of strings and have it run with the rights
of the next tenant's script. Mended in 7.2.11, 7.4.6, 8.0.4 and 8.2.2, and in Debian's 7.0.15; a version
does not tell, the server's behaviour does.
"""

_NOBODY = "matrixhub:nobody"
"""The name of no master and no user."""

SENTINEL_POWERS: Mapping[str, tuple[str | int, ...]] = {
    "sentinel|monitor": ("SENTINEL", "MONITOR", _NOBODY, "no-host", "no-port", "no-quorum"),
    "sentinel|remove": ("SENTINEL", "REMOVE", _NOBODY),
    "sentinel|set": ("SENTINEL", "SET", _NOBODY, "quorum", 1),
    "sentinel|reset": ("SENTINEL", "RESET", _NOBODY),
    "sentinel|failover": ("SENTINEL", "FAILOVER", _NOBODY),
    "sentinel|config": ("SENTINEL", "CONFIG", "GET", _NOBODY),
    "sentinel|is-master-down-by-addr": ("SENTINEL", "IS-MASTER-DOWN-BY-ADDR", "0.0.0.0", 0, 0, "*"),  # noqa: S104 - nobody's address
    "sentinel|simulate-failure": ("SENTINEL", "SIMULATE-FAILURE", "HELP"),
    "publish": ("PUBLISH", "__sentinel__:hello", _NOBODY),
    "acl|setuser": ("ACL", "SETUSER", _NOBODY, "no-rule"),
    "client|kill": ("CLIENT", "KILL", "ID", 0),
    "shutdown": ("SHUTDOWN", "ABORT"),
}
"""By what it takes to turn a sentinel to another master, or to stop it: a call that does neither, tried on a real one.

Only trying tells: who may not ask for his rights may have them all the same.
"""

_REMEMBERED = 256


def allowed(mode: str) -> frozenset[str]:
    """What a tenant may call on a Redis that runs in this mode."""
    return ALLOWED | CLUSTER_ALLOWED if mode == "cluster" else ALLOWED


class Vocabulary:
    """The commands that one server knows, by category, with subcommands as `container|name`.

    `withheld` are those that no tenant is granted on this server.
    """

    def __init__(self, categories: Mapping[str, Iterable[str]], withheld: frozenset[str] = frozenset()) -> None:
        self.withheld = withheld
        self._categories = {name: frozenset(commands) for name, commands in categories.items()}
        self._commands = frozenset[str]().union(*self._categories.values())
        self._families: dict[str, frozenset[str]] = {}
        self._judged: dict[tuple[str, frozenset[str]], frozenset[str]] = {}
        for command in self._commands:
            parent = command.partition("|")[0]
            self._families[parent] = self._families.get(parent, frozenset()) | {command}

    def grants(self, wanted: Iterable[str]) -> tuple[str, ...]:
        """The rules that allow exactly the wanted commands, as far as the server knows them and is to be trusted."""
        return ("-@all", *(f"+{name}" for name in sorted(self._commands.intersection(wanted) - self.withheld)))

    def evaluate(self, rules: Iterable[str]) -> frozenset[str]:
        """The commands that remain allowed after these rules, taken one after the other.

        Redis 7.0 describes a user by the categories that fit best and keeps no order between them;
        only the outcome can be compared. A name the server does not list (`select|0`: a command
        allowed for one first argument) stands for itself.
        """
        granted: frozenset[str] = frozenset()
        for rule in rules:
            name = rule.lstrip("+-")
            granted = granted - self._meant(name) if rule.startswith("-") else granted | self._meant(name)
        return granted

    def compare(self, rules: str, wanted: frozenset[str]) -> frozenset[str]:
        """Nothing, when these rules allow nothing; else `@tenant` and what differs from the wanted commands.

        Remembered: ten thousand tenants are described by one and the same text.
        """
        key = (rules, wanted)
        if key not in self._judged:
            granted, due = self.evaluate(rules.split()), self.evaluate(self.grants(wanted))
            verdict = {"@tenant", *(f"+{name}" for name in granted - due), *(f"-{name}" for name in due - granted)}
            if len(self._judged) >= _REMEMBERED:
                self._judged.clear()
            self._judged[key] = frozenset(verdict) if granted else frozenset()
        return self._judged[key]

    def _meant(self, name: str) -> frozenset[str]:
        if name in ("@all", "allcommands"):
            return self._commands
        if name.startswith("@"):
            return self._categories.get(name[1:], frozenset({name}))
        return self._families.get(name, frozenset({name}))
