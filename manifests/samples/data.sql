-- Three schools of different sizes: some 260,000 rows, the same at every run, in under 20 seconds.
--
-- Works before Matrix Hub has seen the database (as the owner, to whom every row is still open) and after (as each
-- tenant's role, for then row security binds the owner too). A school that is there already is left alone.
-- Rows may come before their Tenant: it finds them when it is Ready, the partitions of audit_log with them.
\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;

INSERT INTO subjects VALUES
    ('MAT', 'Mathematics'), ('PHY', 'Physics'), ('CHE', 'Chemistry'), ('BIO', 'Biology'), ('ENG', 'English'),
    ('HIS', 'History'), ('GEO', 'Geography'), ('ART', 'Art'), ('MUS', 'Music'), ('CSC', 'Computing')
ON CONFLICT DO NOTHING;

CREATE FUNCTION pg_temp.load(school text, name text, city text, founded int, pupils int, seed double precision)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    first text[] := '{Amara,Aisha,Ben,Carlos,Chidi,Chloe,Daniel,Diego,Elif,Emma,Fatima,Felix,Grace,Hana,Hugo,Ines,Isla,
        Jamal,Jonas,Kaito,Keira,Lea,Liam,Lucia,Malik,Mateo,Maya,Mei,Mina,Nadia,Noah,Noor,Oliver,Omar,Priya,Ravi,Rosa,
        Samir,Sofia,Tariq,Theo,Uma,Viktor,Wanjiru,Yara,Yusuf,Zainab,Zoe}';
    last text[] := '{Adeyemi,Ahmed,Andersen,Bauer,Brown,Chen,Costa,Diaz,Dubois,Fischer,Garcia,Haddad,Hughes,Ivanova,
        Jansen,Johnson,Kaya,Khan,Kim,Kowalska,Kumar,Lopez,Martin,Mbeki,Meyer,Moreau,Mwangi,Nakamura,Nguyen,Novak,
        Okafor,Olsen,Patel,Pereira,Rossi,Santos,Sato,Schmidt,Silva,Singh,Smith,Suzuki,Tanaka,Taylor,Wang,Weber,Yilmaz}';
    words text[] := '{"When is the homework due?","I have uploaded my report.","Could you explain question 4 again?",
        "The slides of Tuesday are in the folder.","Who is in my group for the project?","Thank you, that helped a lot.",
        "The lab is in room 204 today.","I will be ten minutes late.","Is chapter 7 part of the exam?",
        "Please check the new timetable.","My microphone does not work.","See you on Monday."}';
    acts text[] := '{login,login,login,logout,view_course,view_course,open_message,submit_work,download_file,change_password}';
    codes text[] := '{MAT,PHY,CHE,BIO,ENG,HIS,GEO,ART,MUS,CSC}';
    monday timestamptz := '2026-01-05 08:00:00+00'; -- a date that stays, so that every load is alike
    staff int := greatest(pupils / 15, 10);
    offers int := greatest(pupils / 12, 20);
    teachers_from int;
    courses_from int;
    students_from bigint;
BEGIN
    PERFORM setseed(seed);
    INSERT INTO public.schools VALUES (school, load.name, load.city, load.founded);

    INSERT INTO public.teachers (tenant_id, name, subject)
    SELECT school,
           first[1 + floor(random() * cardinality(first))::int] || ' ' || last[1 + floor(random() * cardinality(last))::int],
           codes[1 + n % 10]
    FROM generate_series(1, staff) n;
    SELECT min(id) INTO teachers_from FROM public.teachers WHERE tenant_id = school;

    INSERT INTO public.courses (tenant_id, code, title, teacher_id)
    SELECT school, format('%s-%s%s', s.code, 1 + (n / 10) % 13, chr(65 + n / 130)),
           format('%s, year %s', s.name, 1 + (n / 10) % 13), teachers_from + n % staff
    FROM generate_series(0, offers - 1) n JOIN public.subjects s ON s.code = codes[1 + n % 10] ORDER BY n;
    SELECT min(id) INTO courses_from FROM public.courses WHERE tenant_id = school;

    INSERT INTO public.students (tenant_id, first_name, last_name, email, born, year)
    SELECT school, p.first, p.last, lower(format('%s.%s%s@%s.example', p.first, p.last, n, school)),
           date '2020-01-01' - (p.year * 365 + (random() * 364)::int), p.year
    FROM generate_series(1, pupils) n,
         LATERAL (SELECT first[1 + floor(random() * cardinality(first))::int],
                         last[1 + floor(random() * cardinality(last))::int], 1 + n % 13) AS p (first, last, year);
    SELECT min(id) INTO students_from FROM public.students WHERE tenant_id = school;

    INSERT INTO public.enrolments (tenant_id, student_id, course_id, since, grade)
    SELECT school, students_from + n, courses_from + (n * 7 + k * 11) % offers, date '2025-09-01' + k,
           CASE WHEN random() < 0.8 THEN round((3 + random() * 7)::numeric, 1) END
    FROM generate_series(0, pupils - 1) n, generate_series(0, 5) k
    ON CONFLICT DO NOTHING;

    INSERT INTO public.messages (id, tenant_id, course_id, author_id, sent_at, body)
    SELECT md5(school || n)::uuid, school, courses_from + (n * 13) % offers, students_from + n % pupils,
           monday + n * (8.0 / pupils) * interval '1 day', words[1 + floor(random() * cardinality(words))::int]
    FROM generate_series(0, pupils * 14 - 1) n;

    INSERT INTO public.audit_log (tenant_id, at, actor, action, subject, detail)
    SELECT school, monday + n * (3.0 / pupils) * interval '1 day', 'student:' || students_from + n % pupils,
           acts[1 + floor(random() * cardinality(acts))::int],
           'course:' || courses_from + (n * 5) % offers,
           jsonb_build_object('ip', format('10.%s.%s.%s', n % 4, n % 250, n % 199), 'ms', (5 + random() * 200)::int)
    FROM generate_series(0, pupils * 24 - 1) n;
END $$;

DO $$
DECLARE
    school record;
    role text;
    walled boolean := (SELECT relforcerowsecurity FROM pg_class WHERE oid = 'public.students'::regclass);
    there boolean;
BEGIN
    FOR school IN SELECT * FROM (VALUES
        ('greenwood', 'Greenwood High School', 'Portland', 1923, 4000, 0.11),
        ('riverside', 'Riverside Community College', 'Leeds', 1968, 1500, 0.22),
        ('hillcrest', 'Hillcrest Primary School', 'Nairobi', 2004, 400, 0.33)) AS s (id, name, city, founded, pupils, seed)
    LOOP
        role := 'tenant_' || school.id;
        IF walled AND to_regrole(quote_ident(role)) IS NULL THEN
            RAISE WARNING 'School % waits: apply its Tenant, then run this file again', school.id;
            CONTINUE;
        END IF;
        EXECUTE format('CREATE TABLE IF NOT EXISTS public.%I PARTITION OF public.audit_log FOR VALUES IN (%L)',
                       'audit_log_' || school.id, school.id);
        IF walled THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', role);
            EXECUTE format('SET LOCAL ROLE %I', role);
        END IF;
        SELECT EXISTS (SELECT FROM public.schools WHERE tenant_id = school.id) INTO there;
        IF NOT there THEN
            PERFORM pg_temp.load(school.id, school.name, school.city, school.founded, school.pupils, school.seed);
        END IF;
        IF walled THEN
            RESET ROLE;
            EXECUTE format('REVOKE %I FROM CURRENT_USER', role);
        END IF;
    END LOOP;
END $$;

COMMIT;
ANALYZE subjects, schools, teachers, students, courses, enrolments, messages, audit_log;
