/*
 * The protocol of the pid file: src/pidfile.rs, src/control.rs, the process that waits in src/daemon.rs
 * and src/ready.rs, and `stop` of examples/tool/stop.rs. `ci/model/run` checks it with spin.
 *
 * One step of the model is one system call, or one thing that the kernel does by itself. All processes begin
 * anew when they have ended, without limit: STARTS and STOPS say how many there are at a time.
 *
 *   STARTS     starts: P (locks, forks, waits for the word, removes if there is none) and D (the daemon, which claims).
 *   STOPS      stoppers. Their first half, the query of a holder at any moment, is `status` as well.
 *   ASKERS     stoppers that do not remove. Nothing but locks counts for them: no words, no content, removal in one step.
 *   REMOVERS   stoppers that only remove, at any moment.
 *   WORKERS    a daemon may fork workers, which outlive it and keep the open file description.
 *   RM         external `rm`, and `mv` of another file to the path, at any moments.
 *
 * In all of them any process may be killed at any step, and the first file is none, an empty one, or one with a number.
 * ASKERS and REMOVERS stand for the two halves of a stopper, where the whole has too many states: the halves share
 * nothing but a descriptor; what askers could see of a remover (a name that goes, a start that waits) they see of starts too.
 *
 * What is asserted. The labels stand in the checker's output:
 *
 *   exclusion  (a) Never two starts that have locked the file, neither of which has removed it, nor somebody by
 *                  hand. So of their files never two are the one at the path, and never two are on one inode.
 *   stranger   (b) A signal goes to a process that has claimed the file that was asked about, or to one that has ended.
 *   unlinking  (c) What is unlinked is the remover's own: no other start has it locked. With RM, unless somebody who does
 *                  not heed the lock comes between the look and the removal (as documented).
 *   blocked    (d) A start is refused only by a flock that is held; when all others have ended, whatever they left, it is
 *                  not refused, and not sent round. No record lock is ever refused to the one who has the flock.
 *   answer     (e) What `holder` answers was true at some moment of the query: Running, with that pid; Starting;
 *                  Nobody; LeftBehind. (LeftBehind is true, for a moment, of a daemon that is about to end alone: the
 *                  kernel ends its claim before its other locks.)
 *   number     (f) From the end of `lock` to the claim the file holds no number.
 *
 * Mutants: each takes one guard out, and the assertion that is named must then fail.
 *
 *   NO_INODE_CHECK    exclusion  the flock may be on a file that is no longer at the path
 *   NO_REMOVE_CHECK   unlinking  the daemon has removed its file, P removes what stands there
 *   NO_REAP           unlinking  P does not wait for the end of a daemon that has failed: both remove
 *   NO_SECOND_QUERY   stranger   the pid was reused before pidfd_open(2)
 *   NO_CLAIM          stranger   the number in the file is believed
 *   NO_TRUNCATE       number     a start leaves the former number standing
 *   WRONG_ORDER       answer     byte 0 is asked before byte 2: LeftBehind while a daemon lives
 *   FLOCK_FIRST       blocked    the kernel lets go of the flock before the marks: they would be refused
 *   BELIEVE_NUMBER    blocked    a start takes a number in the file for a running instance
 *
 * `run` also sees to it that each place with TAKEN is come by, so that no assertion is idle.
 *
 * Left out, and why nothing is lost by it:
 *
 *   - Pids of P, workers, stoppers. They never claim: to a query they are strangers.
 *   - Strangers as processes. Whenever pidfd_open(2) asks for a pid that no living daemon has, it may find nothing, a stranger
 *     (who ends only when a daemon gets that pid), or one that has ended, such as a zombie.
 *   - Delivery of a signal. A daemon may end, in each of its ways, at any step; a signal only makes it likelier.
 *   - The process between P and D. Its death before the second fork is that of D before its first step; later it has
 *     nothing but one more descriptor for a moment, as P has.
 *   - `run`, without forks: as if P were killed right after the fork.
 *   - Failing system calls. Those of D make it end, which it may at any step; after P's fork it is as if D had died at once.
 *   - Time, and counts of tries. Who waits or tries anew may do so without end, or give up at any moment. So the query of a start
 *     that finds the flock taken need not be modelled: whatever it says, it tries anew or is refused.
 *   - The first look at the path (fstatat before open): it only refuses what is no regular file.
 *   - Holders in other pid namespaces: nobody is named, nobody signalled. Daemons that close their own pid file: documented.
 *   - A remover that may not unlink empties the file: as one that leaves it.
 *   - Names. The second start begins only while the first is under way, and a daemon's pid is the first free one unless a
 *     stopper remembers one: other runs are these with other names.
 */

/* Open file descriptions that carry locks, by number: the starts', the last start's, the stoppers'. */
#define STOPPER(s)	(STARTS + (s))

/* Each start and each stopper has at most one file open, one is at the path, one was put there. */
#define INODES	(STARTS + STOPS + 3)

/* What `holder` answers; bits, for `seen`. */
#define NOBODY		1
#define STARTING	2
#define LEFT_BEHIND	4
#define RUNNING		8

/* Who has a start's description open. */
#define P_HAS	1
#define D_HAS	2
#define W_HAS	4

/* What a pidfd is of: the daemon of a start, or: */
#define NOTHING		0
#define STRANGER	100
#define ENDED		101

/* States of a daemon. */
#define UNBORN	0
#define ALIVE	1
#define DEAD	2

/* Words to the process that waits. */
#define READY	1
#define FAILED	2

/*
 * The labels of the assertions: they stand in the checker's output. Never set, but where one mutant is to be found by
 * one assertion (-DONLY=STRANGERS): that sets the others, and so puts them out of action.
 */
#define EXCLUSION	1
#define STRANGERS	2
#define UNLINKING	3
#define BLOCKED		4
#define ANSWER		5
#define CONTENT		6
#ifndef ONLY
#define ONLY	0
#endif
hidden byte exclusion = (ONLY != 0 && ONLY != EXCLUSION);
hidden byte stranger = (ONLY != 0 && ONLY != STRANGERS);
hidden byte unlinking = (ONLY != 0 && ONLY != UNLINKING);
hidden byte blocked = (ONLY != 0 && ONLY != BLOCKED);
hidden byte answer = (ONLY != 0 && ONLY != ANSWER);
hidden byte number = (ONLY != 0 && ONLY != CONTENT);
/* Says so, once, when the checker comes by: `run` wants to hear of each in a configuration without a mutant. */
#define TAKEN(what)	c_code { { static char said; if (!said) { said = 1; printf("taken: %s\n", what); } } }

#define MUST(label, condition)	assert(label || (condition))

/* With askers there is no last start. */
#ifdef ASKERS
#define BUSY(sign)	skip
#else
#define BUSY(sign)	busy = busy sign 1
#endif

/* Only a mutant cares which number is in the file. */
#if defined(NO_CLAIM)
#define NUMBER(k)	pids[k]
#elif defined(ASKERS)
#define NUMBER(k)	0
#else
#define NUMBER(k)	1
#endif

/* The file system. A file that is neither at the path nor open is free to be a new one. */
byte path;			/* the inode at the path, or none: 0 */
byte opens[INODES];
byte content[INODES];		/* the number in the file, or empty: 0 */

/* The locks of each inode: by which description; the claim: by the daemon of which start. */
byte flocked[INODES];
byte marked1[INODES];
byte marked2[INODES];
byte claim[INODES];

/* The starts. */
byte inode[STARTS + 1];
byte has[STARTS + 1];		/* who has the description open */
byte daemon[STARTS + 1];
byte pids[STARTS + 1];
byte word[STARTS + 1];
bit begun[STARTS + 1];
bit claimed[STARTS + 1];		/* the daemon has been the claimed holder */
byte owner;			/* the start that has locked the file at the path, for (a) */

/* Queries under way: on which inode, which answer is noted, and whether it was true at a moment of the query. */
byte asked[STOPS + 1];
byte seen[STOPS + 1];
byte wanted[STOPS + 1];

byte pidfd[STOPS + 1];		/* what the pidfd of a stopper is of */
byte asked_pid[STOPS + 1];	/* and by which pid it was opened */

byte busy;			/* starts and stoppers that have begun and not ended */
bit alone;			/* all others have ended, and wait for a start to show that it succeeds */
/* Of the answers that may come late. The others are looked at when they are given. */
#define TRUE_NOW(i) \
	((marked1[i] != 0 && marked2[i] == 0 -> STARTING : 0) | (marked2[i] != 0 && claim[i] == 0 -> LEFT_BEHIND : 0))

/* After each change of a lock. */
inline observe(i)
{
	q = 1;
	do
	:: q <= STOPS ->
		if
		:: asked[q] == i -> seen[q] = seen[q] | (TRUE_NOW(i) & wanted[q])
		:: else
		fi;
		q++
	:: else -> break
	od;
	q = 0
}

inline new_inode(i)
{
	i = 1;
	do
	:: i < INODES && (opens[i] != 0 || path == i) -> i++
	:: else -> break
	od;
	assert(i < INODES)
}

/* The last descriptor is closed, or the name is gone. */
inline forget(i)
{
	if
	:: opens[i] == 0 && path != i -> content[i] = 0
	:: else
	fi
}

inline close_unlocked(i)
{
	opens[i]--;
	forget(i);
	i = 0
}

/* The last descriptor of description d is closed: the kernel lets go of OFD locks, then of the flock. */
inline release_marks(d, i)
{
	if
	:: marked1[i] == d -> marked1[i] = 0
	:: else
	fi;
	if
	:: marked2[i] == d -> marked2[i] = 0
	:: else
	fi;
	observe(i)
}

inline release_flock(d, i)
{
	flocked[i] = 0;
	if
	:: owner == d -> owner = 0
	:: else
	fi
}

inline release(d, i)
{
#ifdef FLOCK_FIRST
	d_step { release_flock(d, i) };
	d_step { release_marks(d, i); close_unlocked(i) }
#else
	d_step { release_marks(d, i) };
	d_step { release_flock(d, i); close_unlocked(i) }
#endif
}

#define LAST_TO_CLOSE(who) \
	if \
	:: who == W_HAS -> TAKEN("lock left behind") \
	:: else \
	fi

/* A process of start k closes the description, or ends. */
inline close(k, who)
{
	if
	:: d_step { has[k] != who -> has[k] = has[k] & (7 - who) }
	:: d_step { has[k] == who -> has[k] = 0; LAST_TO_CLOSE(who) };
		release(k, inode[k])
	fi
}

/* The first F_GETLK of a query of inode i; from now on it is noted whether that answer is true. */
inline ask(s, i, wanted_answer)
{
	asked[s] = i;
	wanted[s] = wanted_answer;
	seen[s] = TRUE_NOW(i) & wanted_answer
}

/* The answer is given; whether it was true at some moment. */
inline told(s, true_once)
{
	MUST(answer, true_once);
	asked[s] = 0;
	wanted[s] = 0;
	seen[s] = 0
}

/* `holder` of inode i: the answer in r and p. */
inline query(s, i, r, p)
{
#if defined(NO_CLAIM)
	d_step {
		p = content[i];
		r = (p != 0 -> RUNNING : NOBODY)
	}
#elif defined(WRONG_ORDER)
	if
	:: d_step { claim[i] != 0 -> r = RUNNING; p = pids[claim[i]] }
	:: d_step { claim[i] == 0 -> ask(s, i, LEFT_BEHIND) };
		if
		:: d_step { marked2[i] != 0 -> r = LEFT_BEHIND; told(s, seen[s] != 0) }
		:: d_step { marked2[i] == 0 -> told(s, true) };
			d_step { r = (marked1[i] != 0 -> STARTING : NOBODY) }
		fi
	fi
#else
	if
	:: d_step { marked2[i] != 0 -> ask(s, i, LEFT_BEHIND) };
		if
		:: d_step { claim[i] != 0 -> r = RUNNING; p = pids[claim[i]]; told(s, daemon[claim[i]] == ALIVE); TAKEN("answer Running") }
		:: d_step { claim[i] == 0 -> r = LEFT_BEHIND; told(s, seen[s] != 0); TAKEN("answer LeftBehind") }
		fi
	:: d_step { marked2[i] == 0 -> ask(s, i, STARTING) };
		if
		:: d_step { marked1[i] != 0 -> r = STARTING; told(s, seen[s] != 0); TAKEN("answer Starting") }
		:: d_step { marked1[i] == 0 -> r = NOBODY; told(s, claim[i] == 0 && marked2[i] == 0); TAKEN("answer Nobody") }
		fi
	fi
#endif
}

/* The file at the path goes. */
inline disowned()
{
	if
	:: owner != 0 && inode[owner] == path -> owner = 0
	:: else
	fi
}

/* unlinkat(2), by the description d that has looked at the path and found i there. */
inline unlink(d, i)
{
#ifdef RM
	MUST(unlinking, path != i || flocked[path] == d);
	if
	:: path != i && path != 0 -> TAKEN("removal of another's, after rm")
	:: else
	fi;
#else
	MUST(unlinking, path == 0 || flocked[path] == 0 || flocked[path] == d);
#ifndef NO_REMOVE_CHECK
#ifndef NO_REAP
	MUST(unlinking, path == i);
#endif
#endif
#endif
	if
	:: path != 0 ->
		disowned();
		u = path;
		path = 0;
		forget(u);
		u = 0
	:: else
	fi
}

/* Whether the look before the removal lets it go on. */
#ifdef NO_REMOVE_CHECK
#define STILL_OURS(i)	true
#else
#define STILL_OURS(i)	(path == i)
#endif

/* The removal by a start; in two steps, but where only askers are watched. */
#ifdef ASKERS
#define LOOK_AND_UNLINK(i) \
	if \
	:: d_step { STILL_OURS(i) -> unlink(k, i) } \
	:: !STILL_OURS(i) \
	fi
#else
#define LOOK_AND_UNLINK(i) \
	if \
	:: STILL_OURS(i) \
	:: !STILL_OURS(i) -> goto out \
	:: KILLED -> goto out \
	fi; \
	if \
	:: d_step { true -> unlink(k, i); TAKEN("removal by a start") } \
	:: KILLED \
	fi
#endif

#ifdef NO_INODE_CHECK
#define SAME(i)	true
#else
#define SAME(i)	(path == i)
#endif

/* The daemon of start k, with its pid or the next that no other daemon has: a stranger who had it has ended. */
inline born(k)
{
	MUST(number, content[inode[k]] == 0);
	q = 1;
	do
	:: q <= STARTS ->
		if
		:: q != k && daemon[q] == ALIVE && pids[q] == pids[k] -> pids[k] = pids[k] % STARTS + 1; q = 1
		:: else -> q++
		fi
	:: else -> break
	od;
	q = 1;
	do
	:: q <= STOPS ->
		if
		:: pidfd[q] == STRANGER && asked_pid[q] == pids[k] -> pidfd[q] = ENDED
		:: else
		fi;
		q++
	:: else -> break
	od;
	q = 0;
	has[k] = P_HAS | D_HAS;
	daemon[k] = ALIVE
}

/* Without a stopper that has heard a pid, one is as good as another. */
#if STOPS > 1
#define REMEMBERED	(asked_pid[1] != 0 || asked_pid[2] != 0)
#elif STOPS > 0
#define REMEMBERED	(asked_pid[1] != 0)
#else
#define REMEMBERED	false
#endif

/* A daemon has ended: its pid is free, a pidfd of it tells so. */
inline end_of(k)
{
	q = 1;
	do
	:: q <= STOPS ->
		if
		:: pidfd[q] == k -> pidfd[q] = ENDED
		:: else
		fi;
		q++
	:: else -> break
	od;
	q = 0;
	pids[k] = 0;
	claimed[k] = 0;
	daemon[k] = DEAD
}

/* SIGKILL, at this step. */
#define KILLED	!alone

proctype P(byte k)
{
	byte i, q, u;

begin:
	if
	:: d_step { !alone && (k == 1 || begun[k - 1]) -> begun[k] = 1; BUSY(+) }
#ifndef ASKERS
	:: d_step { busy == 0 && k == 1 -> begun[k] = 1; BUSY(+); alone = 1 }
#endif
	fi;
again:
	if
	:: d_step { true ->
			if
			:: path == 0 -> new_inode(i); path = i
			:: else -> i = path
			fi;
			opens[i]++;
			inode[k] = i
		}
	fi;
	if
	:: d_step { flocked[i] == 0 -> flocked[i] = k; has[k] = P_HAS }
	/* Refused: at once, or out of patience. Until then it tries anew. */
	:: d_step { flocked[i] != 0 -> MUST(blocked, !alone && flocked[i] != k); TAKEN("start refused") }; goto refused
	:: KILLED -> goto refused
	fi;

	if
	:: d_step { true -> MUST(blocked, marked1[i] == 0); marked1[i] = k; observe(i) }
	:: KILLED -> goto out
	fi;

	if
	:: d_step { SAME(i) -> MUST(exclusion, owner == 0); owner = k }
	:: d_step { !SAME(i) -> MUST(blocked, !alone); has[k] = 0; TAKEN("start sent round") };
		release(k, inode[k]);
		if
		:: goto again
		/* Tried too often, or killed. */
		:: goto done
		fi
	:: KILLED -> goto out
	fi;

#ifdef BELIEVE_NUMBER
	if
	:: content[i] != 0 -> MUST(blocked, !alone); goto out
	:: content[i] == 0
	fi;
#endif
#if !defined(ASKERS) && !defined(NO_TRUNCATE)
	if
	:: d_step { true -> content[i] = 0 }
	:: KILLED -> goto out
	fi;
#endif

	if
	/* Nothing that the others left is in its way. */
	:: d_step { alone -> MUST(blocked, claim[i] == 0 && marked2[i] == 0 && path == i); TAKEN("start alone") };
		goto out
	:: d_step { !alone ->
			pids[k] = 1;
			born(k)
		}
#if STARTS > 1
	:: d_step { !alone && REMEMBERED ->
			pids[k] = 2;
			born(k)
		}
#endif
	fi;

	/* The word, or the end. */
	if
	:: word[k] == READY -> goto out
#ifdef NO_REAP
	:: word[k] == FAILED
#endif
	:: word[k] != READY && daemon[k] == DEAD
	:: true -> goto out
	fi;

	LOOK_AND_UNLINK(i);
out:
	close(k, P_HAS);
	goto done;
refused:
	/* It holds nothing. */
	if
	:: d_step { true -> close_unlocked(inode[k]) }
	fi;
done:
	/* The start is over when its daemon has ended, and whatever that has left behind. */
	if
	:: d_step { inode[k] == 0 && daemon[k] != ALIVE ->
			i = 0;
			daemon[k] = UNBORN;
			word[k] = 0;
			alone = 0;
			begun[k] = 0;
			BUSY(-)
		}
	fi;
	goto begin
}

proctype D(byte k)
{
	byte q, u;

begin:
	if
	:: daemon[k] == ALIVE
	fi;
	if
	:: d_step { true ->
			MUST(number, content[inode[k]] == 0);
			MUST(blocked, claim[inode[k]] == 0);
			TAKEN("claim");
			claim[inode[k]] = k;
			claimed[k] = 1;
			observe(inode[k])
		}
	:: goto out
	fi;
	if
	:: d_step { true -> MUST(blocked, marked2[inode[k]] == 0); marked2[inode[k]] = k; observe(inode[k]) }
	:: goto out
	fi;
#if !defined(ASKERS) || defined(NO_CLAIM)
	if
	:: d_step { true -> content[inode[k]] = NUMBER(k) }
	:: goto out
	fi;
#endif
	/* It runs. */
	do
#ifndef ASKERS
	:: word[k] == 0 -> word[k] = READY
#endif
#ifdef NO_REAP
	:: word[k] == 0 -> word[k] = FAILED
#endif
#ifdef WORKERS
	:: (has[k] & W_HAS) == 0 && claimed[k] -> d_step { has[k] = has[k] | W_HAS }
#endif
	/* It ends by itself and removes its file, or it leaves it, or is killed. */
	:: break
	:: goto out
	od;
	LOOK_AND_UNLINK(inode[k]);
out:
	/* close(2) and the end of a process: the claim goes first. */
	if
	:: d_step { claim[inode[k]] == k -> claim[inode[k]] = 0; observe(inode[k]) }
	:: claim[inode[k]] != k
	fi;
	close(k, D_HAS);
	d_step { end_of(k) };
	goto begin
}

#ifdef WORKERS
/* What D has forked: it holds the description, and knows nothing of it. */
proctype W(byte k)
{
	byte q;

	do
	:: (has[k] & W_HAS) != 0 -> close(k, W_HAS)
	od
}
#endif

#define HAS_PID(k, p)	(daemon[k] == ALIVE && pids[k] == p)
#if STARTS > 1
#define NAMED(p)	(HAS_PID(1, p) || HAS_PID(2, p))
#else
#define NAMED(p)	HAS_PID(1, p)
#endif

/* `stop`: open_holder, signal, wait, remove_left_over. */
proctype Stopper(byte s)
{
	byte i, r, p, q, u;

begin:
	/* With no file there is nothing to do. */
	if
#ifdef REMOVERS
	:: d_step { !alone && path != 0 -> BUSY(+); skip };
		goto remove
#else
	:: d_step { !alone && path != 0 -> BUSY(+); i = path; opens[i]++ }
#endif
	fi;
	query(s, i, r, asked_pid[s]);
	do
	:: r != RUNNING -> break
	:: r == RUNNING ->
		/* pidfd_open(2) */
		if
		:: d_step { !NAMED(asked_pid[s]) -> pidfd[s] = NOTHING }
		:: d_step { !NAMED(asked_pid[s]) -> pidfd[s] = STRANGER }
		:: d_step { !NAMED(asked_pid[s]) -> pidfd[s] = ENDED }
		:: d_step { NAMED(asked_pid[s]) -> pidfd[s] = (HAS_PID(1, asked_pid[s]) -> 1 : 2) }
		fi;
#ifdef NO_SECOND_QUERY
		d_step { r = RUNNING; p = asked_pid[s] };
#else
		query(s, i, r, p);
#endif
		if
		:: d_step { r == RUNNING && p == asked_pid[s] && pidfd[s] != NOTHING -> r = 0; p = 0 }; goto signal
		:: d_step { !(r == RUNNING && p == asked_pid[s] && pidfd[s] != NOTHING) -> asked_pid[s] = p; p = 0; pidfd[s] = NOTHING }
		fi
	od;
	if
	:: d_step { r == NOBODY -> r = 0; p = 0; close_unlocked(i) }; goto then
	/* Starting, LeftBehind: nobody is signalled. */
	:: d_step { r != NOBODY -> r = 0; p = 0; close_unlocked(i) }; goto done
	fi;

signal:
	if
	:: d_step { true ->
			MUST(stranger, pidfd[s] != STRANGER);
			if
			:: pidfd[s] == ENDED -> TAKEN("signal to one that has ended")
			:: else -> TAKEN("signal to a daemon")
			fi;
			MUST(stranger, pidfd[s] == ENDED || (claimed[pidfd[s]] && (inode[pidfd[s]] == i || inode[pidfd[s]] == 0)));
			close_unlocked(i)
		}
	fi;
	if
	:: d_step { pidfd[s] == ENDED -> pidfd[s] = NOTHING; asked_pid[s] = 0 }
	/* It does not end in time. */
	:: d_step { pidfd[s] != ENDED -> pidfd[s] = NOTHING; asked_pid[s] = 0 }; goto done
	fi;

then:
#ifdef ASKERS
	goto done;
#endif
remove:
	if
	:: d_step { path != 0 -> i = path; opens[i]++ }
	:: path == 0 -> goto done
	:: goto done
	fi;
	if
	:: d_step { flocked[i] == 0 -> flocked[i] = STOPPER(s) }
	:: d_step { flocked[i] != 0 -> close_unlocked(i) }; goto done
	:: d_step { true -> close_unlocked(i) }; goto done
	fi;
	if
	:: SAME(i)
	:: !SAME(i) ->
		release(STOPPER(s), i);
		if
		:: goto remove
		:: goto done
		fi
	:: goto out
	fi;
	if
	:: STILL_OURS(i)
	:: !STILL_OURS(i) -> goto out
	:: goto out
	fi;
	if
	:: d_step { true -> unlink(STOPPER(s), i); TAKEN("removal by a stopper") }
	:: true
	fi;
out:
	if
	:: true -> release(STOPPER(s), i)
	fi;
done:
	if
	:: d_step { true -> BUSY(-) }
	fi;
	goto begin
}

#ifdef RM
/* Somebody who does not heed the lock. */
proctype Rm()
{
	byte i, u;

	do
	:: d_step { !alone && path != 0 ->
			disowned();
			u = path;
			path = 0;
			forget(u);
			u = 0
		}
	:: d_step { !alone && path != 0 ->
			disowned();
			new_inode(i);
			u = path;
			path = i;
			content[i] = 1;
			forget(u);
			i = 0;
			u = 0
		}
	od
}
#endif

init
{
	byte k;

	atomic {
		if
		:: true
		:: path = 1
#if !defined(ASKERS) || defined(NO_CLAIM)
		:: path = 1; content[1] = 1
#endif
		fi;
		k = 1;
		do
		:: k <= STARTS ->
			run P(k);
			run D(k);
#ifdef WORKERS
			run W(k);
#endif
			k++
		:: else -> break
		od;
		k = 1;
		do
		:: k <= STOPS -> run Stopper(k); k++
		:: else -> break
		od;
#ifdef RM
		run Rm();
#endif
		k = 0
	}
}
