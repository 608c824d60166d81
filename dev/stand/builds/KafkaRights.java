import java.io.FileReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Properties;
import java.util.Set;
import joptsimple.OptionParser;
import joptsimple.OptionSet;
import joptsimple.OptionSpec;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AccessControlEntryFilter;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.Resource;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourcePatternFilter;
import org.apache.kafka.common.resource.ResourceType;
import org.apache.kafka.common.utils.SecurityUtils;

/**
 * Gives one principal exactly the ACLs of a file, in one JVM; kafka-acls would need one start for each line.
 *
 * <p>Usage: KafkaRights client.properties User:name file. A line holds options of kafka-acls.
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
        OptionParser parser = new OptionParser(false);
        OptionSpec<Void> cluster = parser.accepts("cluster");
        OptionSpec<String> topic = parser.accepts("topic").withRequiredArg();
        OptionSpec<String> group = parser.accepts("group").withRequiredArg();
        OptionSpec<String> type = parser.accepts("resource-pattern-type").withRequiredArg().defaultsTo("literal");
        OptionSpec<String> operations = parser.accepts("operation").withRequiredArg().required();
        Set<AclBinding> bindings = new HashSet<>();
        for (String line : Files.readAllLines(file)) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            OptionSet found = parser.parse(line.trim().split("\\s+"));
            PatternType matches = PatternType.valueOf(found.valueOf(type).toUpperCase());
            Set<ResourcePattern> resources = new HashSet<>();
            if (found.has(cluster)) {
                resources.add(new ResourcePattern(ResourceType.CLUSTER, Resource.CLUSTER_NAME, PatternType.LITERAL));
            }
            found.valuesOf(topic).forEach(name -> resources.add(new ResourcePattern(ResourceType.TOPIC, name, matches)));
            found.valuesOf(group).forEach(name -> resources.add(new ResourcePattern(ResourceType.GROUP, name, matches)));
            for (String operation : found.valuesOf(operations)) {
                AccessControlEntry entry = new AccessControlEntry(
                        principal, "*", SecurityUtils.operation(operation), AclPermissionType.ALLOW);
                resources.forEach(resource -> bindings.add(new AclBinding(resource, entry)));
            }
        }
        return bindings;
    }
}
