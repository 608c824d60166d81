import java.io.FileReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourcePatternFilter;
import org.apache.kafka.common.resource.ResourceType;

/**
 * Gives one principal exactly the ACLs of a file, in one JVM; kafka-acls would need one start for each line.
 *
 * <p>Usage: KafkaRights client.properties User:name file. A line is "resource-type name pattern-type operation,...".
 */
public final class KafkaRights {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        try (FileReader reader = new FileReader(arguments[0])) {
            properties.load(reader);
        }
        Set<AclBinding> wanted = read(Path.of(arguments[2]), arguments[1]);
        try (Admin admin = Admin.create(properties)) {
            AclBindingFilter ours = new AclBindingFilter(ResourcePatternFilter.ANY, new AccessControlEntryFilter(
                    arguments[1], null, AclOperation.ANY, AclPermissionType.ANY));
            Set<AclBinding> present = new HashSet<>(admin.describeAcls(ours).values().get());
            List<AclBinding> lacking = new ArrayList<>(wanted);
            lacking.removeAll(present);
            admin.createAcls(lacking).all().get();
            List<AclBindingFilter> surplus = new ArrayList<>();
            for (AclBinding binding : present) {
                if (!wanted.contains(binding)) {
                    surplus.add(binding.toFilter());
                }
            }
            admin.deleteAcls(surplus).all().get();
        }
    }

    private static Set<AclBinding> read(Path file, String principal) throws Exception {
        Set<AclBinding> bindings = new HashSet<>();
        for (String line : Files.readAllLines(file)) {
            String[] words = line.replaceFirst("#.*", "").trim().split("\\s+");
            if (words.length == 1 && words[0].isEmpty()) {
                continue;
            }
            if (words.length != 4) {
                throw new IllegalArgumentException("want: type name pattern operations, got: " + line);
            }
            ResourcePattern pattern = new ResourcePattern(
                    named(ResourceType.class, words[0]), words[1], named(PatternType.class, words[2]));
            for (String operation : words[3].split(",")) {
                bindings.add(new AclBinding(pattern, new AccessControlEntry(
                        principal, "*", named(AclOperation.class, operation), AclPermissionType.ALLOW)));
            }
        }
        return bindings;
    }

    /** The constant of that name, however its words are joined: alter-configs, AlterConfigs, ALTER_CONFIGS. */
    private static <E extends Enum<E>> E named(Class<E> type, String name) {
        for (E constant : type.getEnumConstants()) {
            if (constant.name().replace("_", "").equalsIgnoreCase(name.replaceAll("[-_]", ""))) {
                return constant;
            }
        }
        throw new IllegalArgumentException(name + " is no " + type.getSimpleName());
    }
}
